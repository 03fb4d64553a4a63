public import XDR

extension NFS3 {
    /// CREATE (RFC 1813 §3.3.8).
    public enum Create {
        /// CREATE3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var location: DirectoryOperation
            public var how: CreateMode

            @inlinable
            public init(location: DirectoryOperation, how: CreateMode) {
                self.location = location
                self.how = how
            }

            @inlinable public var encodedSize: Int { location.encodedSize + how.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                location.encode(into: &output)
                how.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                location = try DirectoryOperation(from: &decoder)
                how = try CreateMode(from: &decoder)
            }
        }

        /// CREATE3resok.
        public typealias Success = CreatedObject
        /// CREATE3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }

    /// createhow3 (RFC 1813 §3.3.8): what to do when the name exists already.
    public enum CreateMode: Hashable, Sendable, XDREncodable, XDRDecodable {
        /// Take the existing file.
        case unchecked(SetAttributes)
        /// Fail with EXIST.
        case guarded(SetAttributes)
        /// Fail with EXIST unless the file was made with this verifier (createverf3): a retry.
        case exclusive(UInt64)

        @inlinable
        public var encodedSize: Int {
            switch self {
            case .unchecked(let attributes), .guarded(let attributes): 4 + attributes.encodedSize
            case .exclusive: 4 + NFS3.verifierSize
            }
        }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            switch self {
            case .unchecked(let attributes):
                output.encode(UInt32(0))
                attributes.encode(into: &output)
            case .guarded(let attributes):
                output.encode(UInt32(1))
                attributes.encode(into: &output)
            case .exclusive(let verifier):
                output.encode(UInt32(2))
                output.encode(verifier)
            }
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            let at = decoder.offset
            switch try decoder.decodeUInt32() {
            case 0: self = .unchecked(try SetAttributes(from: &decoder))
            case 1: self = .guarded(try SetAttributes(from: &decoder))
            case 2: self = .exclusive(try decoder.decodeUInt64())
            case let other: throw XDRError(.badDiscriminant, at: at, found: UInt64(other))
            }
        }
    }

    /// What CREATE, MKDIR, SYMLINK and MKNOD answer when they succeed (RFC 1813 §3.3.8 to §3.3.11).
    public struct CreatedObject: Hashable, Sendable, XDREncodable, XDRDecodable {
        /// post_op_fh3: without it the client looks the name up.
        public var handle: FileHandle?
        /// Of the new object.
        public var attributes: Attributes?
        /// Of the directory it was made in.
        public var directory: WCCData

        @inlinable
        public init(handle: FileHandle?, attributes: Attributes?, directory: WCCData) {
            self.handle = handle
            self.attributes = attributes
            self.directory = directory
        }

        @inlinable
        public var encodedSize: Int {
            handle.optionalEncodedSize + attributes.optionalEncodedSize + directory.encodedSize
        }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encodeOptional(handle)
            output.encodeOptional(attributes)
            directory.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            handle = try decoder.decodeOptional(FileHandle.self)
            attributes = try decoder.decodeOptional(Attributes.self)
            directory = try WCCData(from: &decoder)
        }
    }

    /// The arm that carries only the wcc_data of a directory (the creating procedures, REMOVE, RMDIR).
    public struct DirectoryChange: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var directory: WCCData

        @inlinable
        public init(directory: WCCData) {
            self.directory = directory
        }

        @inlinable public var encodedSize: Int { directory.encodedSize }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            directory.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            directory = try WCCData(from: &decoder)
        }
    }
}
