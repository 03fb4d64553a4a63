public import XDR

extension NFS3 {
    /// SYMLINK (RFC 1813 §3.3.10).
    public enum Symlink {
        /// SYMLINK3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var location: DirectoryOperation
            public var attributes: SetAttributes
            /// The link's target.
            public var data: Path

            @inlinable
            public init(location: DirectoryOperation, attributes: SetAttributes, data: Path) {
                self.location = location
                self.attributes = attributes
                self.data = data
            }

            @inlinable
            public var encodedSize: Int {
                location.encodedSize + attributes.encodedSize + data.encodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                location.encode(into: &output)
                attributes.encode(into: &output)
                data.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                location = try DirectoryOperation(from: &decoder)
                attributes = try SetAttributes(from: &decoder)
                data = try Path(from: &decoder)
            }
        }

        /// SYMLINK3resok.
        public typealias Success = CreatedObject
        /// SYMLINK3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }
}
