public import XDR

extension NFS3 {
    /// READLINK (RFC 1813 §3.3.5).
    public enum Readlink {
        /// READLINK3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var symlink: FileHandle

            @inlinable
            public init(symlink: FileHandle) {
                self.symlink = symlink
            }

            @inlinable public var encodedSize: Int { symlink.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                symlink.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                symlink = try FileHandle(from: &decoder)
            }
        }

        /// READLINK3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// The link's target.
            public var data: Path

            @inlinable
            public init(attributes: Attributes?, data: Path) {
                self.attributes = attributes
                self.data = data
            }

            @inlinable
            public var encodedSize: Int {
                attributes.optionalEncodedSize + data.encodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                data.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                data = try Path(from: &decoder)
            }
        }

        /// READLINK3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
