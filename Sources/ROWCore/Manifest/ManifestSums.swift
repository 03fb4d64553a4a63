/// The file `manifest.sums`: which bytes a manifest has, piece by piece. Its own SHA-256 is the root hash
/// of the image, from which everything else can be checked.
///
/// Two lines of text, `rowfs manifest 1` and the size of the manifest in bytes, and then the raw SHA-256
/// of each piece of it.
public struct ManifestSums: Sendable, Hashable {
    /// Bytes of a piece; the last one ends with the manifest.
    public static let pieceBytes = 64 << 10
    /// The longest manifest that is read or made, bytes: some 100 million files.
    public static let manifestSizeMaximum = 16 << 30
    /// The most bytes that a `manifest.sums` can have.
    public static let bytesMaximum =
        manifestSizeMaximum / pieceBytes * ContentHash.byteCount + 64

    private static let title = Array("rowfs manifest 1\n".utf8)

    /// Of the manifest, bytes.
    public let size: Int
    /// Identifies the image.
    public let rootHash: ContentHash
    /// Of the manifest's pieces, one after the other.
    private let hashes: [UInt8]

    public var pieceCount: Int { hashes.count / ContentHash.byteCount }

    /// Reads a `manifest.sums`.
    /// - Throws: `unreadable` when the bytes are none.
    public init(bytes: [UInt8]) throws(StateError) {
        guard bytes.count <= Self.bytesMaximum else {
            throw Self.error("is longer than a manifest.sums can be (\(Self.bytesMaximum) bytes)")
        }
        guard bytes.starts(with: Self.title) else {
            throw Self.error(
                bytes.starts(with: "rowfs manifest ".utf8)
                    ? "was made by a newer version of this program: upgrade it"
                    : "does not begin with 'rowfs manifest 1'")
        }
        let rest = bytes[Self.title.count...]
        guard let end = rest.prefix(20).firstIndex(of: UInt8(ascii: "\n")),
            rest[..<end].allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let size = Int(String(decoding: rest[..<end], as: UTF8.self)),
            size > 0, size <= Self.manifestSizeMaximum
        else { throw Self.error("does not say how long the manifest is") }
        let hashes = Array(rest[(end + 1)...])
        let count = (size + Self.pieceBytes - 1) / Self.pieceBytes
        guard hashes.count == count * ContentHash.byteCount else {
            throw Self.error("has \(hashes.count) bytes of sums for \(count) pieces")
        }
        self.size = size
        self.hashes = hashes
        rootHash = bytes.withUnsafeBytes { ContentHash(of: $0) }
    }

    /// The file for a manifest.
    /// - Parameter hashes: of its pieces, raw, one after the other.
    static func fileBytes(size: Int, hashes: [UInt8]) -> [UInt8] {
        title + Array("\(size)\n".utf8) + hashes
    }

    /// What a piece's bytes must hash to.
    /// - Parameter piece: 0..<``pieceCount``.
    public func hash(of piece: Int) -> ContentHash {
        let start = piece * ContentHash.byteCount
        return hashes[start..<start + ContentHash.byteCount].withUnsafeBytes {
            ContentHash(bytes: $0)
        }
    }

    /// The bytes of the manifest that a piece has.
    public func range(of piece: Int) -> Range<Int> {
        let start = piece * Self.pieceBytes
        return start..<min(start + Self.pieceBytes, size)
    }

    private static func error(_ what: String) -> StateError {
        StateError(
            .unreadable,
            "manifest.sums \(what); the image must be sealed again (rowctl image seal)")
    }
}
