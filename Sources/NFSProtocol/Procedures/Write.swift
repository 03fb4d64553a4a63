public import XDR

extension NFS3 {
    /// WRITE (RFC 1813 §3.3.7).
    public enum Write {
        /// WRITE3args without its data, which travels beside it so that nobody has to copy it. On the
        /// wire the data follows ``encode(into:)``, then zero padding to a multiple of four.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var file: FileHandle
            /// Where in the file the data goes, in bytes.
            public var offset: UInt64
            /// Bytes of data; equal to `data.count`.
            public var count: UInt32
            /// What must be on stable storage before the reply.
            public var stable: Stability
            /// Decoding: where the data is in the record. Encoding: only its length counts.
            public var data: Range<Int>

            @inlinable
            public init(
                file: FileHandle, offset: UInt64, count: UInt32, stable: Stability, data: Range<Int>
            ) {
                self.file = file
                self.offset = offset
                self.count = count
                self.stable = stable
                self.data = data
            }

            /// The size of all that precedes the data.
            @inlinable public var encodedSize: Int { file.encodedSize + 20 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                file.encode(into: &output)
                output.encode(offset)
                output.encode(count)
                output.encode(stable.rawValue)
                output.encode(UInt32(data.count))
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                file = try FileHandle(from: &decoder)
                offset = try decoder.decodeUInt64()
                count = try decoder.decodeUInt32()
                stable = try Stability(from: &decoder)
                let at = decoder.offset
                data = try decoder.decodeOpaqueRange(maximum: NFS3.transferSizeMaximum)
                guard data.count == Int(count) else {
                    throw XDRError(.badValue, at: at, found: UInt64(data.count))
                }
            }
        }

        /// WRITE3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var wcc: WCCData
            /// Bytes written.
            public var count: UInt32
            /// What is on stable storage; never weaker than what was asked for.
            public var committed: Stability
            /// writeverf3: changes when unstable data may have been lost.
            public var verifier: UInt64

            @inlinable
            public init(wcc: WCCData, count: UInt32, committed: Stability, verifier: UInt64) {
                self.wcc = wcc
                self.count = count
                self.committed = committed
                self.verifier = verifier
            }

            @inlinable public var encodedSize: Int { wcc.encodedSize + 16 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                wcc.encode(into: &output)
                output.encode(count)
                output.encode(committed.rawValue)
                output.encode(verifier)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                wcc = try WCCData(from: &decoder)
                count = try decoder.decodeUInt32()
                committed = try Stability(from: &decoder)
                verifier = try decoder.decodeUInt64()
            }
        }

        /// WRITE3resfail.
        public typealias Failure = ObjectChange
        public typealias Result = Outcome<Success, Failure>
    }

    /// stable_how (RFC 1813 §3.3.7): from the weakest promise to the strongest.
    public enum Stability: UInt32, Comparable, Sendable, CaseIterable, XDREncodable, XDRDecodable {
        /// Nothing is promised until COMMIT.
        case unstable = 0
        /// The data, and what is needed to read it back, is on stable storage.
        case dataSync = 1
        /// The data and all attributes are on stable storage.
        case fileSync = 2

        @inlinable
        public static func < (lhs: Stability, rhs: Stability) -> Bool {
            lhs.rawValue < rhs.rawValue
        }

        @inlinable public var encodedSize: Int { 4 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encode(rawValue) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            let at = decoder.offset
            let raw = try decoder.decodeUInt32()
            guard let stability = Stability(rawValue: raw) else {
                throw XDRError(.badDiscriminant, at: at, found: UInt64(raw))
            }
            self = stability
        }
    }
}
