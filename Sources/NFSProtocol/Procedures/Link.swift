public import XDR

extension NFS3 {
    /// LINK (RFC 1813 §3.3.15).
    public enum Link {
        /// LINK3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var file: FileHandle
            /// The new name.
            public var link: DirectoryOperation

            @inlinable
            public init(file: FileHandle, link: DirectoryOperation) {
                self.file = file
                self.link = link
            }

            @inlinable public var encodedSize: Int { file.encodedSize + link.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                file.encode(into: &output)
                link.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                file = try FileHandle(from: &decoder)
                link = try DirectoryOperation(from: &decoder)
            }
        }

        /// LINK3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            /// Of the file linked to.
            public var attributes: Attributes?
            /// Of the directory that holds the new name.
            public var directory: WCCData

            @inlinable
            public init(attributes: Attributes?, directory: WCCData) {
                self.attributes = attributes
                self.directory = directory
            }

            @inlinable
            public var encodedSize: Int {
                attributes.optionalEncodedSize + directory.encodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                directory.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                directory = try WCCData(from: &decoder)
            }
        }

        /// LINK3resfail has the same fields as LINK3resok.
        public typealias Failure = Success
        public typealias Result = Outcome<Success, Failure>
    }
}
