public import XDR

extension NFS3 {
    /// MKDIR (RFC 1813 §3.3.9).
    public enum Mkdir {
        /// MKDIR3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var location: DirectoryOperation
            public var attributes: SetAttributes

            @inlinable
            public init(location: DirectoryOperation, attributes: SetAttributes) {
                self.location = location
                self.attributes = attributes
            }

            @inlinable public var encodedSize: Int { location.encodedSize + attributes.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                location.encode(into: &output)
                attributes.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                location = try DirectoryOperation(from: &decoder)
                attributes = try SetAttributes(from: &decoder)
            }
        }

        /// MKDIR3resok.
        public typealias Success = CreatedObject
        /// MKDIR3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }
}
