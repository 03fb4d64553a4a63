public import XDR

extension Mount {
    /// MNT (RFC 1813 §5.2.1; version 1: RFC 1094 §A.5.2).
    public enum Mnt {
        /// The path to mount.
        public typealias Arguments = DirectoryPath

        /// mountres3_ok: what version 3 answers.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var handle: NFS3.FileHandle
            /// The RPC authentication flavors that the server takes, best first (AUTH_SYS is 1).
            public var flavors: [UInt32]

            public init(handle: NFS3.FileHandle, flavors: [UInt32]) {
                self.handle = handle
                self.flavors = flavors
            }

            public var encodedSize: Int { handle.encodedSize + 4 + 4 * flavors.count }

            public func encode(into output: inout OutputRawSpan) {
                handle.encode(into: &output)
                output.encode(UInt32(flavors.count))
                for flavor in flavors { output.encode(flavor) }
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                handle = try NFS3.FileHandle(from: &decoder)
                flavors = []
                // Flavors are 4 bytes each, so what is left of the record bounds their number.
                let count = try decoder.decodeCount(maximum: decoder.remaining / 4)
                for _ in 0..<count { flavors.append(try decoder.decodeUInt32()) }
            }
        }

        /// The success arm of fhstatus: what version 1 answers.
        public struct SuccessVersion1: Hashable, Sendable, XDREncodable, XDRDecodable {
            /// Exactly ``Mount/handleSizeVersion1`` bytes; on the wire without a length.
            public let handle: NFS3.FileHandle

            /// - Returns: nil unless `handle` has exactly 32 bytes.
            public init?(handle: NFS3.FileHandle) {
                guard handle.count == Mount.handleSizeVersion1 else { return nil }
                self.handle = handle
            }

            public var encodedSize: Int { Mount.handleSizeVersion1 }

            public func encode(into output: inout OutputRawSpan) {
                output.encodeFixedOpaque(handle.bytes)
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                handle = NFS3.FileHandle(
                    try decoder.decodeFixedOpaque(count: Mount.handleSizeVersion1))
            }
        }

        /// mountres3 (version 3).
        public typealias Result = Outcome<Success>
        /// fhstatus (version 1).
        public typealias ResultVersion1 = Outcome<SuccessVersion1>
    }

    /// DUMP (RFC 1813 §5.2.2): who has mounted what.
    public enum Dump {
        public typealias Arguments = XDRVoid

        /// mountbody.
        public struct Entry: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var hostname: Name
            public var directory: DirectoryPath

            public init(hostname: Name, directory: DirectoryPath) {
                self.hostname = hostname
                self.directory = directory
            }

            public var encodedSize: Int { hostname.encodedSize + directory.encodedSize }

            public func encode(into output: inout OutputRawSpan) {
                hostname.encode(into: &output)
                directory.encode(into: &output)
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                hostname = try Name(from: &decoder)
                directory = try DirectoryPath(from: &decoder)
            }
        }

        /// mountlist.
        public struct Result: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var entries: [Entry]

            public init(_ entries: [Entry]) { self.entries = entries }

            public var encodedSize: Int { listEncodedSize(entries) }

            public func encode(into output: inout OutputRawSpan) { output.encodeList(entries) }

            public init(from decoder: inout Decoder) throws(XDRError) {
                entries = try decoder.decodeList(of: Entry.self)
            }
        }
    }

    /// UMNT (RFC 1813 §5.2.3): forgets one entry of the list that DUMP shows.
    public enum Umnt {
        public typealias Arguments = DirectoryPath
        public typealias Result = XDRVoid
    }

    /// UMNTALL (RFC 1813 §5.2.4): forgets all entries of the calling host.
    public enum Umntall {
        public typealias Arguments = XDRVoid
        public typealias Result = XDRVoid
    }

    /// EXPORT (RFC 1813 §5.2.5): what may be mounted, and by whom.
    public enum Export {
        public typealias Arguments = XDRVoid

        /// exportnode.
        public struct Entry: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var directory: DirectoryPath
            /// Who may mount it; empty means everyone.
            public var groups: [Name]

            public init(directory: DirectoryPath, groups: [Name]) {
                self.directory = directory
                self.groups = groups
            }

            public var encodedSize: Int { directory.encodedSize + listEncodedSize(groups) }

            public func encode(into output: inout OutputRawSpan) {
                directory.encode(into: &output)
                output.encodeList(groups)
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                directory = try DirectoryPath(from: &decoder)
                groups = try decoder.decodeList(of: Name.self)
            }
        }

        /// exports.
        public struct Result: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var entries: [Entry]

            public init(_ entries: [Entry]) { self.entries = entries }

            public var encodedSize: Int { listEncodedSize(entries) }

            public func encode(into output: inout OutputRawSpan) { output.encodeList(entries) }

            public init(from decoder: inout Decoder) throws(XDRError) {
                entries = try decoder.decodeList(of: Entry.self)
            }
        }
    }
}
