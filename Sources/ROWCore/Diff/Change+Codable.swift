import Foundation
import NFSProtocol
import SystemPackage

extension Change: Codable {
    private enum Key: String, CodingKey {
        case kind, path, pathBase64, oldPath, oldPathBase64, linkTo, linkToBase64, type, oldType
        case aspects, size, storedBytes
    }

    private static let types: [(type: NFS3.FileType, name: String)] = [
        (.regular, "file"), (.directory, "directory"), (.symbolicLink, "symbolicLink"),
        (.blockDevice, "blockDevice"), (.characterDevice, "characterDevice"), (.fifo, "fifo"),
        (.socket, "socket"),
    ]

    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        func put(_ path: FilePath?, _ text: Key, _ base64: Key) throws {
            guard let path else { return }
            let bytes = path.bytes
            try fields.encode(String(decoding: bytes, as: UTF8.self), forKey: text)
            if String(validating: bytes, as: UTF8.self) == nil {
                try fields.encode(Data(bytes).base64EncodedString(), forKey: base64)
            }
        }
        func name(_ type: NFS3.FileType) -> String? {
            Self.types.first { $0.type == type }?.name
        }
        try fields.encode(kind, forKey: .kind)
        try put(path, .path, .pathBase64)
        try put(oldPath, .oldPath, .oldPathBase64)
        try put(linkTo, .linkTo, .linkToBase64)
        try fields.encode(name(type), forKey: .type)
        try fields.encodeIfPresent(oldType.flatMap(name), forKey: .oldType)
        try fields.encode(aspects.names, forKey: .aspects)
        try fields.encode(size, forKey: .size)
        try fields.encode(storedBytes, forKey: .storedBytes)
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        func bad(_ key: Key, _ why: String) -> DecodingError {
            .dataCorruptedError(forKey: key, in: fields, debugDescription: why)
        }
        func path(_ text: Key, _ base64: Key) throws -> FilePath? {
            if let encoded = try fields.decodeIfPresent(String.self, forKey: base64) {
                guard let data = Data(base64Encoded: encoded), !data.contains(0) else {
                    throw bad(base64, "not base64 of a path")
                }
                return FilePath(bytes: data)
            }
            return try fields.decodeIfPresent(String.self, forKey: text).map { FilePath($0) }
        }
        func type(_ key: Key) throws -> NFS3.FileType? {
            guard let name = try fields.decodeIfPresent(String.self, forKey: key) else {
                return nil
            }
            guard let known = Self.types.first(where: { $0.name == name }) else {
                throw bad(key, "an unknown type")
            }
            return known.type
        }
        guard let place = try path(.path, .pathBase64) else { throw bad(.path, "no path") }
        guard let kindOfObject = try type(.type) else { throw bad(.type, "no type") }
        guard
            let aspects = Aspects(names: try fields.decode([String].self, forKey: .aspects))
        else { throw bad(.aspects, "an unknown aspect") }
        self.init(
            try fields.decode(Kind.self, forKey: .kind), place,
            oldPath: try path(.oldPath, .oldPathBase64), linkTo: try path(.linkTo, .linkToBase64),
            type: kindOfObject, oldType: try type(.oldType), aspects: aspects,
            size: try fields.decode(UInt64.self, forKey: .size),
            storedBytes: try fields.decode(UInt64.self, forKey: .storedBytes))
    }
}
