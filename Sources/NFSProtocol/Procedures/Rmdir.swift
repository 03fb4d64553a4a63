public import XDR

extension NFS3 {
    /// RMDIR (RFC 1813 §3.3.13).
    public enum Rmdir {
        /// RMDIR3args.
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

        /// RMDIR3resok.
        public typealias Success = DirectoryChange
        /// RMDIR3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }
}
