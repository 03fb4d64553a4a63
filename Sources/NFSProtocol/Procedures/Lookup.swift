public import XDR

extension NFS3 {
    /// LOOKUP (RFC 1813 §3.3.3).
    public enum Lookup {
        /// LOOKUP3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var what: DirectoryOperation

            @inlinable
            public init(what: DirectoryOperation) {
                self.what = what
            }

            @inlinable public var encodedSize: Int { what.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                what.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                what = try DirectoryOperation(from: &decoder)
            }
        }

        /// LOOKUP3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var object: FileHandle
            /// Of the object found.
            public var attributes: Attributes?
            /// Of the directory searched.
            public var directoryAttributes: Attributes?

            @inlinable
            public init(
                object: FileHandle, attributes: Attributes?, directoryAttributes: Attributes?
            ) {
                self.object = object
                self.attributes = attributes
                self.directoryAttributes = directoryAttributes
            }

            @inlinable
            public var encodedSize: Int {
                object.encodedSize + attributes.optionalEncodedSize
                    + directoryAttributes.optionalEncodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                object.encode(into: &output)
                output.encodeOptional(attributes)
                output.encodeOptional(directoryAttributes)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                object = try FileHandle(from: &decoder)
                attributes = try decoder.decodeOptional(Attributes.self)
                directoryAttributes = try decoder.decodeOptional(Attributes.self)
            }
        }

        /// LOOKUP3resfail: the attributes of the directory.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
