public import XDR

extension NFS3 {
    /// GETATTR (RFC 1813 §3.3.1).
    public enum Getattr {
        /// GETATTR3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var object: FileHandle

            @inlinable
            public init(object: FileHandle) {
                self.object = object
            }

            @inlinable public var encodedSize: Int { object.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                object.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                object = try FileHandle(from: &decoder)
            }
        }

        /// GETATTR3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes

            @inlinable
            public init(attributes: Attributes) {
                self.attributes = attributes
            }

            @inlinable public var encodedSize: Int { attributes.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                attributes.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try Attributes(from: &decoder)
            }
        }

        /// GETATTR fails with a status and nothing else.
        public typealias Failure = XDRVoid
        public typealias Result = Outcome<Success, Failure>
    }
}
