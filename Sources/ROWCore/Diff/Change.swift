public import NFSProtocol
public import SystemPackage

/// One thing that a session changed, see ``SessionDiff``.
///
/// As JSON, paths are text; where a path is not UTF-8, a second member with `Base64` after its name
/// holds its bytes, and that is what decoding takes.
public struct Change: Sendable, Hashable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// A name that the image does not have: a new object, or with ``Change/linkTo`` one more name
        /// of another.
        case added
        /// A name of the image that is gone, its object not having moved elsewhere.
        case removed
        /// Another object under a name that the image has: removed and made again, of another type, or
        /// renamed over.
        case replaced
        /// An object of the image with other data or attributes.
        case changed
        /// An object of the image under another name; ``Change/aspects`` tells what else is new. What a
        /// renamed directory holds is not reported with it.
        case renamed
    }

    /// What is not as in the image. Access and change times, link counts, and the modification time of a
    /// directory are not compared.
    public struct Aspects: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Data or size. Bytes are not compared: what was written counts even if it was the same.
        public static let content = Aspects(rawValue: 1)
        /// Permission bits.
        public static let mode = Aspects(rawValue: 2)
        public static let owner = Aspects(rawValue: 4)
        public static let group = Aspects(rawValue: 8)
        /// Modification time, of anything but a directory.
        public static let modificationTime = Aspects(rawValue: 16)
    }

    public var kind: Kind
    /// Where the object is in the session, from the root's slash on; of what was removed, where it is
    /// in the image.
    public var path: FilePath
    /// Where the object is in the image, when that is not ``path``: it or a directory above it was
    /// renamed. Of what was replaced, where the name is in the image.
    public var oldPath: FilePath?
    /// Another name of the same object, for names that were added or replaced by linking.
    public var linkTo: FilePath?
    /// Of what was removed, what it was.
    public var type: NFS3.FileType
    /// Of what was replaced, what it was.
    public var oldType: NFS3.FileType?
    /// Empty unless changed or renamed.
    public var aspects: Aspects
    /// Bytes in the object; 0 when removed.
    public var size: UInt64
    /// Bytes of storage that the session's own data of this object takes up.
    public var storedBytes: UInt64

    public init(
        _ kind: Kind, _ path: FilePath, oldPath: FilePath? = nil, linkTo: FilePath? = nil,
        type: NFS3.FileType, oldType: NFS3.FileType? = nil, aspects: Aspects = [],
        size: UInt64 = 0, storedBytes: UInt64 = 0
    ) {
        self.kind = kind
        self.path = path
        self.oldPath = oldPath
        self.linkTo = linkTo
        self.type = type
        self.oldType = oldType
        self.aspects = aspects
        self.size = size
        self.storedBytes = storedBytes
    }
}

extension Change: CustomStringConvertible {
    /// One line: `renamed /new (was /old): content, mode`.
    public var description: String {
        var text = "\(kind) \(path)"
        if type == .directory, path != "/" { text += "/" }
        if let oldPath { text += " (was \(oldPath))" }
        if let linkTo { text += " (the same as \(linkTo))" }
        if !aspects.isEmpty { text += ": \(aspects)" }
        return text
    }
}

extension Change.Aspects: CustomStringConvertible {
    private static let names: [(aspect: Self, name: String)] = [
        (.content, "content"), (.mode, "mode"), (.owner, "owner"), (.group, "group"),
        (.modificationTime, "modificationTime"),
    ]

    /// Their names, in a fixed order.
    public var names: [String] { Self.names.filter { contains($0.aspect) }.map(\.name) }

    public var description: String { names.joined(separator: ", ") }

    /// - Returns: nil when a name is unknown.
    public init?(names: [String]) {
        self = []
        for name in names {
            guard let known = Self.names.first(where: { $0.name == name }) else { return nil }
            insert(known.aspect)
        }
    }
}
