import Foundation
import NFSClient
import NFSProtocol
import NIOCore

/// What a client finds below a directory of an export.
struct CrashTree {
    struct Object {
        let attributes: NFS3.Attributes
        /// Of a file its bytes, of a symbolic link its target.
        let content: [UInt8]
    }

    private(set) var objects: [String: Object] = [:]

    /// Reads the directory `name` of the root and everything in it.
    init(of name: String, by client: NFSClient) async throws {
        try await add(name, client.object(name, in: client.rootHandle), client)
    }

    private mutating func add(
        _ path: String, _ handle: NFS3.FileHandle, _ client: NFSClient
    ) async throws {
        let attributes = try await client.getattr(handle).success.attributes
        var content: [UInt8] = []
        switch attributes.type {
        case .regular:
            var isAtEnd = false
            while !isAtEnd {
                let (result, data) = try await client.read(
                    handle, offset: UInt64(content.count), count: 1 << 20)
                isAtEnd = try result.success.eof
                content += data.readableBytesView
            }
        case .symbolicLink: content = try await client.readlink(handle).success.data.bytes
        default:
            var listing = Listing(client: client, directory: handle, procedure: .readdirplus)
            while !listing.isAtEnd {
                for name in try await listing.next() where name != "." && name != ".." {
                    try await add("\(path)/\(name)", client.object(name, in: handle), client)
                }
            }
        }
        objects[path] = Object(attributes: attributes, content: content)
    }

    /// In what it differs from what it must be; empty when it does not.
    func differences(from model: CrashModel) -> [String] {
        var differences: [String] = []
        var namesOfFiles: [Int: [String]] = [:]
        for (path, entry) in model.names {
            guard let object = objects[path] else {
                differences.append("\(path) is missing")
                continue
            }
            var mode: UInt32?
            var isRight = false
            switch entry {
            case .directory(let wanted):
                mode = wanted
                isRight = object.attributes.type == .directory
            case .symlink(let target):
                isRight =
                    object.attributes.type == .symbolicLink && object.content == Array(target.utf8)
            case .file(let id):
                isRight = object.attributes.type == .regular
                namesOfFiles[id, default: []].append(path)
                guard let file = model.files[id] else { continue }
                mode = file.mode
                if let objection = file.objection(to: object.content) {
                    differences.append("\(path) has \(objection)")
                }
                if object.attributes.size != UInt64(object.content.count) {
                    differences.append("\(path) has a size that does not fit its data")
                }
            }
            if !isRight { differences.append("\(path) is another object") }
            if let mode, mode != object.attributes.mode {
                differences.append("\(path) has mode \(object.attributes.mode), not \(mode)")
            }
        }
        for names in namesOfFiles.values {
            let found = names.compactMap { objects[$0]?.attributes }
            guard let first = found.first, found.count == names.count else { continue }
            if !found.allSatisfy({ $0.fileid == first.fileid && $0.nlink == names.count }) {
                differences.append("\(names) are not the names of one file")
            }
        }
        for path in objects.keys where model.names[path] == nil {
            differences.append("\(path) is there")
        }
        return differences.sorted()
    }
}

extension NFS3.Outcome {
    /// The successful arm.
    var success: OK {
        get throws {
            switch self {
            case .ok(let ok): return ok
            case .failure(let status, _): throw UnexpectedStatus(status: status)
            }
        }
    }
}

/// An NFS status where a test wants success.
struct UnexpectedStatus: Error {
    let status: NFS3.Status
}
