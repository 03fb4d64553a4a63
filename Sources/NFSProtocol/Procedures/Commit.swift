public import XDR

extension NFS3 {
    /// COMMIT (RFC 1813 §3.3.21).
    public enum Commit {
        /// COMMIT3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var file: FileHandle
            /// Where in the file to begin, in bytes.
            public var offset: UInt64
            /// Bytes to commit; 0 means to the end of the file.
            public var count: UInt32

            @inlinable
            public init(file: FileHandle, offset: UInt64, count: UInt32) {
                self.file = file
                self.offset = offset
                self.count = count
            }

            @inlinable public var encodedSize: Int { file.encodedSize + 12 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                file.encode(into: &output)
                output.encode(offset)
                output.encode(count)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                file = try FileHandle(from: &decoder)
                offset = try decoder.decodeUInt64()
                count = try decoder.decodeUInt32()
            }
        }

        /// COMMIT3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var wcc: WCCData
            /// writeverf3: unequal to the one of a WRITE, that WRITE must be sent again.
            public var verifier: UInt64

            @inlinable
            public init(wcc: WCCData, verifier: UInt64) {
                self.wcc = wcc
                self.verifier = verifier
            }

            @inlinable public var encodedSize: Int { wcc.encodedSize + 8 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                wcc.encode(into: &output)
                output.encode(verifier)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                wcc = try WCCData(from: &decoder)
                verifier = try decoder.decodeUInt64()
            }
        }

        /// COMMIT3resfail.
        public typealias Failure = ObjectChange
        public typealias Result = Outcome<Success, Failure>
    }
}
