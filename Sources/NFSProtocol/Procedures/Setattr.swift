public import XDR

extension NFS3 {
    /// SETATTR (RFC 1813 §3.3.2).
    public enum Setattr {
        /// SETATTR3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var object: FileHandle
            public var attributes: SetAttributes
            /// sattrguard3: when present, the object's ctime must equal it (else NOT_SYNC).
            public var guardTime: Time?

            @inlinable
            public init(object: FileHandle, attributes: SetAttributes, guardTime: Time?) {
                self.object = object
                self.attributes = attributes
                self.guardTime = guardTime
            }

            @inlinable
            public var encodedSize: Int {
                object.encodedSize + attributes.encodedSize + guardTime.optionalEncodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                object.encode(into: &output)
                attributes.encode(into: &output)
                output.encodeOptional(guardTime)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                object = try FileHandle(from: &decoder)
                attributes = try SetAttributes(from: &decoder)
                guardTime = try decoder.decodeOptional(Time.self)
            }
        }

        /// SETATTR3resok.
        public typealias Success = ObjectChange
        /// SETATTR3resfail.
        public typealias Failure = ObjectChange
        public typealias Result = Outcome<Success, Failure>
    }

    /// The arm that carries only the wcc_data of the object itself (SETATTR, WRITE, COMMIT).
    public struct ObjectChange: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var wcc: WCCData

        @inlinable
        public init(wcc: WCCData) {
            self.wcc = wcc
        }

        @inlinable public var encodedSize: Int { wcc.encodedSize }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            wcc.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            wcc = try WCCData(from: &decoder)
        }
    }
}
