public import XDR

extension NFS3 {
    /// REMOVE (RFC 1813 §3.3.12).
    public enum Remove {
        /// REMOVE3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var object: DirectoryOperation

            @inlinable
            public init(object: DirectoryOperation) {
                self.object = object
            }

            @inlinable public var encodedSize: Int { object.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                object.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                object = try DirectoryOperation(from: &decoder)
            }
        }

        /// REMOVE3resok.
        public typealias Success = DirectoryChange
        /// REMOVE3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }
}
