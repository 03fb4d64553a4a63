import Foundation
public import SystemPackage

/// What an upgrade of a session to another image did, or would do.
public struct UpgradeReport: Sendable, Codable, Hashable {
    /// The image that the session stood on, and the one that it stands on now.
    public internal(set) var from: String
    public internal(set) var to: String
    /// The snapshot that has the state before; nil when nothing was changed.
    public internal(set) var snapshot: String?
    /// Files whose changed data was kept, and how many blocks that is.
    public internal(set) var files = 0
    public internal(set) var blocks: Int64 = 0
    /// Objects that the session and the new image had both changed, and that were put together without a
    /// conflict.
    public internal(set) var merged = 0
    /// Sorted by path.
    public internal(set) var conflicts: [UpgradeConflict] = []

    init(from: String, to: String) {
        self.from = from
        self.to = to
    }
}

/// Something that the session and the new image both changed, each in its own way. The session's side
/// stands.
public struct UpgradeConflict: Sendable, Hashable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// Both changed it; main's is at ``UpgradeConflict/copy``.
        case changed
        /// Both made something under this name; main's is at ``UpgradeConflict/copy``.
        case created
        /// The session removed it and main changed it; main's is at ``UpgradeConflict/copy``.
        case removedInSession
        /// The session changed, renamed or linked it, or changed something in it, and main removed it.
        case removedInMain
        /// Both set the same attribute to different values: ``UpgradeConflict/aspects``.
        case attributes
    }

    public var kind: Kind
    /// Where it is, or was, in the session.
    public var path: FilePath
    /// Where main's version is in the session.
    public var copy: FilePath?
    /// Of `attributes`: which.
    public var aspects: Change.Aspects

    init(
        _ kind: Kind, _ path: FilePath, copy: FilePath? = nil, aspects: Change.Aspects = []
    ) {
        self.kind = kind
        self.path = path
        self.copy = copy
        self.aspects = aspects
    }
}

extension UpgradeConflict: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        let what =
            switch kind {
            case .changed: "changed in the session and in main"
            case .created: "made in the session and in main"
            case .removedInSession: "removed in the session, changed in main"
            case .removedInMain: "changed in the session, removed in main"
            case .attributes: "changed in the session and in main: \(aspects)"
            }
        return "conflict \(path): \(what)" + (copy.map { "; main's is \($0)" } ?? "")
    }
}

extension UpgradeConflict: Codable {
    private enum Key: String, CodingKey {
        case kind, path, pathBase64, copy, copyBase64, aspects
    }

    /// As ``Change``: paths are text, and bytes beside it where they are not UTF-8.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        func put(_ path: FilePath, _ text: Key, _ base64: Key) throws {
            try fields.encode(String(decoding: path.bytes, as: UTF8.self), forKey: text)
            if String(validating: path.bytes, as: UTF8.self) == nil {
                try fields.encode(Data(path.bytes).base64EncodedString(), forKey: base64)
            }
        }
        try fields.encode(kind, forKey: .kind)
        try put(path, .path, .pathBase64)
        if let copy { try put(copy, .copy, .copyBase64) }
        try fields.encode(aspects.names, forKey: .aspects)
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        func get(_ text: Key, _ base64: Key) throws -> FilePath? {
            if let encoded = try fields.decodeIfPresent(Data.self, forKey: base64) {
                guard !encoded.contains(0) else {
                    throw DecodingError.dataCorruptedError(
                        forKey: base64, in: fields, debugDescription: "not a path")
                }
                return FilePath(bytes: encoded)
            }
            return try fields.decodeIfPresent(String.self, forKey: text).map { FilePath($0) }
        }
        guard let path = try get(.path, .pathBase64),
            let aspects = Change.Aspects(names: try fields.decode([String].self, forKey: .aspects))
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .path, in: fields, debugDescription: "no path, or an unknown aspect")
        }
        self.init(
            try fields.decode(Kind.self, forKey: .kind), path, copy: try get(.copy, .copyBase64),
            aspects: aspects)
    }
}
