public import XDR

extension NFS3 {
    /// ACCESS (RFC 1813 §3.3.4).
    public enum Access {
        /// ACCESS3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var object: FileHandle
            /// What the client asks about.
            public var access: AccessRights

            @inlinable
            public init(object: FileHandle, access: AccessRights) {
                self.object = object
                self.access = access
            }

            @inlinable public var encodedSize: Int { object.encodedSize + 4 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                object.encode(into: &output)
                output.encode(access.rawValue)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                object = try FileHandle(from: &decoder)
                access = AccessRights(rawValue: try decoder.decodeUInt32())
            }
        }

        /// ACCESS3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// Those of the rights asked about that the caller has.
            public var access: AccessRights

            @inlinable
            public init(attributes: Attributes?, access: AccessRights) {
                self.attributes = attributes
                self.access = access
            }

            @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 4 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                output.encode(access.rawValue)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                access = AccessRights(rawValue: try decoder.decodeUInt32())
            }
        }

        /// ACCESS3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }

    /// The bit mask of ACCESS (RFC 1813 §3.3.4). Bits that are not named here are kept as they came.
    public struct AccessRights: OptionSet, Hashable, Sendable {
        public let rawValue: UInt32

        @inlinable
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Read a file, or list a directory.
        public static let read = AccessRights(rawValue: 0x01)
        /// Look up a name in a directory.
        public static let lookup = AccessRights(rawValue: 0x02)
        /// Rewrite a file's data, or change a directory's entries.
        public static let modify = AccessRights(rawValue: 0x04)
        /// Write past a file's end, or add a directory entry.
        public static let extend = AccessRights(rawValue: 0x08)
        /// Delete a directory entry.
        public static let delete = AccessRights(rawValue: 0x10)
        /// Execute a file.
        public static let execute = AccessRights(rawValue: 0x20)
    }
}
