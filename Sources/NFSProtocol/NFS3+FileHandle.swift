public import XDR

extension NFS3 {
    /// nfs_fh3 (RFC 1813 §2.6): 0...64 opaque bytes, kept inline so that handling one allocates nothing.
    public struct FileHandle: Sendable, XDREncodable, XDRDecodable {
        @usableFromInline var storage: InlineArray<64, UInt8>
        /// Bytes in use, 0...64.
        public let count: Int

        /// - Precondition: `bytes` holds at most 64 bytes.
        @inlinable
        public init(_ bytes: RawSpan) {
            precondition(bytes.byteCount <= NFS3.handleSizeMaximum)
            storage = InlineArray(repeating: 0)
            count = bytes.byteCount
            bytes.withUnsafeBytes { source in
                var target = storage.mutableSpan
                target.withUnsafeMutableBytes { $0.copyMemory(from: source) }
            }
        }

        /// - Returns: nil when `bytes` holds more than 64 bytes.
        @inlinable
        public init?(_ bytes: [UInt8]) {
            guard bytes.count <= NFS3.handleSizeMaximum else { return nil }
            self.init(bytes.span.bytes)
        }

        /// The handle's bytes.
        @inlinable
        public var bytes: RawSpan {
            @_lifetime(borrow self)
            borrowing get { storage.span.bytes.extracting(0..<count) }
        }

        /// The handle's bytes, copied.
        @inlinable
        public var array: [UInt8] { [UInt8](copying: bytes) }

        @inlinable public var encodedSize: Int { 4 + paddedCount(count) }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encodeOpaque(bytes) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            self.init(try decoder.decodeOpaque(maximum: NFS3.handleSizeMaximum))
        }
    }
}

extension NFS3.FileHandle: Hashable {
    @inlinable
    public static func == (lhs: Self, rhs: Self) -> Bool {
        guard lhs.count == rhs.count else { return false }
        for index in 0..<lhs.count where lhs.storage[index] != rhs.storage[index] { return false }
        return true
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

extension NFS3.FileHandle: CustomStringConvertible {
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: array.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension NFS3 {
    /// filename3 (RFC 1813 §2.6): bytes, with no assumption about their encoding.
    public struct Filename: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var bytes: [UInt8]

        @inlinable
        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        @inlinable
        public init(_ string: String) { bytes = Array(string.utf8) }

        @inlinable public var encodedSize: Int { 4 + paddedCount(bytes.count) }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encodeOpaque(bytes) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            bytes = try decoder.decodeBytes(maximum: NFS3.nameSizeMaximum)
        }
    }

    /// nfspath3 (RFC 1813 §2.6): a symbolic link's target, bytes that only the client interprets.
    public struct Path: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var bytes: [UInt8]

        @inlinable
        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        @inlinable
        public init(_ string: String) { bytes = Array(string.utf8) }

        @inlinable public var encodedSize: Int { 4 + paddedCount(bytes.count) }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encodeOpaque(bytes) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            bytes = try decoder.decodeBytes(maximum: NFS3.pathSizeMaximum)
        }
    }

    /// diropargs3 (RFC 1813 §2.6): a name in a directory.
    public struct DirectoryOperation: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var directory: FileHandle
        public var name: Filename

        @inlinable
        public init(directory: FileHandle, name: Filename) {
            self.directory = directory
            self.name = name
        }

        @inlinable public var encodedSize: Int { directory.encodedSize + name.encodedSize }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            directory.encode(into: &output)
            name.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            directory = try FileHandle(from: &decoder)
            name = try Filename(from: &decoder)
        }
    }
}

extension NFS3.Filename: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension NFS3.Path: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}
