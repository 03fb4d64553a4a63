public import XDR

extension NFS3 {
    /// READ (RFC 1813 §3.3.6).
    public enum Read {
        /// READ3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var file: FileHandle
            public var offset: UInt64
            /// Bytes wanted.
            public var count: UInt32

            @inlinable
            public init(file: FileHandle, offset: UInt64, count: UInt32) {
                self.file = file
                self.offset = offset
                self.count = count
            }

            @inlinable public var encodedSize: Int { file.encodedSize + 12 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                file.encode(into: &output)
                output.encode(offset)
                output.encode(count)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                file = try FileHandle(from: &decoder)
                offset = try decoder.decodeUInt64()
                count = try decoder.decodeUInt32()
            }
        }

        /// READ3resok without its data, which travels beside it so that nobody has to copy it. On
        /// the wire the data follows ``encode(into:)``, then zero padding to a multiple of four.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// Bytes read.
            public var count: UInt32
            public var eof: Bool
            /// Decoding: where the data is in the record. Encoding: only its length counts.
            public var data: Range<Int>

            @inlinable
            public init(attributes: Attributes?, count: UInt32, eof: Bool, data: Range<Int>) {
                self.attributes = attributes
                self.count = count
                self.eof = eof
                self.data = data
            }

            /// The size of all that precedes the data.
            @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 12 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                output.encode(count)
                output.encode(eof)
                output.encode(UInt32(data.count))
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                count = try decoder.decodeUInt32()
                eof = try decoder.decodeBool()
                let at = decoder.offset
                data = try decoder.decodeOpaqueRange(maximum: NFS3.transferSizeMaximum)
                guard data.count == Int(count) else {
                    throw XDRError(.badValue, at: at, found: UInt64(data.count))
                }
            }
        }

        /// READ3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }

    /// The failure arm that carries only post_op_attr (GETATTR's kin: LOOKUP, READ, READDIR …).
    public struct PostOperationAttributes: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var attributes: Attributes?

        @inlinable
        public init(_ attributes: Attributes? = nil) { self.attributes = attributes }

        @inlinable public var encodedSize: Int { attributes.optionalEncodedSize }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encodeOptional(attributes) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            attributes = try decoder.decodeOptional(Attributes.self)
        }
    }
}
