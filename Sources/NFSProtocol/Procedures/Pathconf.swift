public import XDR

extension NFS3 {
    /// PATHCONF (RFC 1813 §3.3.20).
    public enum Pathconf {
        /// PATHCONF3args.
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

        /// PATHCONF3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// The most hard links to one object.
            public var linkmax: UInt32
            /// The longest name, in bytes.
            public var nameMax: UInt32
            /// Longer names are refused, not cut.
            public var noTrunc: Bool
            public var chownRestricted: Bool
            public var caseInsensitive: Bool
            public var casePreserving: Bool

            @inlinable
            public init(
                attributes: Attributes?, linkmax: UInt32, nameMax: UInt32, noTrunc: Bool,
                chownRestricted: Bool, caseInsensitive: Bool, casePreserving: Bool
            ) {
                self.attributes = attributes
                self.linkmax = linkmax
                self.nameMax = nameMax
                self.noTrunc = noTrunc
                self.chownRestricted = chownRestricted
                self.caseInsensitive = caseInsensitive
                self.casePreserving = casePreserving
            }

            @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 24 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                output.encode(linkmax)
                output.encode(nameMax)
                output.encode(noTrunc)
                output.encode(chownRestricted)
                output.encode(caseInsensitive)
                output.encode(casePreserving)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                linkmax = try decoder.decodeUInt32()
                nameMax = try decoder.decodeUInt32()
                noTrunc = try decoder.decodeBool()
                chownRestricted = try decoder.decodeBool()
                caseInsensitive = try decoder.decodeBool()
                casePreserving = try decoder.decodeBool()
            }
        }

        /// PATHCONF3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
