import NFSClient
import NFSProtocol
import NIOCore

/// An NFS export by paths: what a program does with the client library.
struct RemoteTree {
    let client: NFSClient

    private static let transferBytes = 1 << 20

    func read(_ path: String) async throws -> [UInt8] {
        let file = try await find(path)
        var content: [UInt8] = []
        while true {
            let (result, data) = try await client.read(
                file, offset: UInt64(content.count), count: UInt32(Self.transferBytes))
            content.append(contentsOf: data.readableBytesView)
            if try success(result, "READ", path).eof { return content }
        }
    }

    /// Durably, once it returns.
    func write(_ bytes: [UInt8], to path: String, at offset: Int) async throws {
        let result = try await client.write(
            try await find(path), offset: UInt64(offset), data: ByteBuffer(bytes: bytes),
            stable: .fileSync)
        _ = try success(result, "WRITE", path)
    }

    func create(_ path: String) async throws {
        let (directory, name) = try await locate(path)
        let mode = NFS3.CreateMode.guarded(NFS3.SetAttributes(mode: 0o644))
        _ = try success(try await client.create(name, in: directory, mode), "CREATE", path)
    }

    func remove(_ path: String) async throws {
        let (directory, name) = try await locate(path)
        _ = try success(try await client.remove(name, in: directory), "REMOVE", path)
    }

    func rename(_ old: String, to new: String) async throws {
        let (from, to) = (try await locate(old), try await locate(new))
        let result = try await client.rename(
            from: NFS3.DirectoryOperation(directory: from.directory, name: from.name),
            to: NFS3.DirectoryOperation(directory: to.directory, name: to.name))
        _ = try success(result, "RENAME", old)
    }

    /// All files with their contents.
    func files() async throws -> Files {
        var files = Files()
        var directories = [""]
        while let directory = directories.popLast() {
            for (name, type) in try await list(directory) {
                let path = directory.isEmpty ? name : "\(directory)/\(name)"
                if type == .directory {
                    directories.append(path)
                } else {
                    files[path] = try await read(path)
                }
            }
        }
        return files
    }

    private func list(_ path: String) async throws -> [(name: String, type: NFS3.FileType)] {
        let directory = try await find(path)
        var entries: [(name: String, type: NFS3.FileType)] = []
        var cookie: UInt64 = 0
        var verifier: UInt64 = 0
        while true {
            let page = try success(
                try await client.readdirplus(
                    directory, cookie: cookie, cookieVerifier: verifier, dircount: 8192,
                    maxcount: 32768), "READDIRPLUS", path)
            for entry in page.entries where ![".", ".."].contains(entry.name.description) {
                guard let attributes = entry.attributes else {
                    throw DemoFailure("READDIRPLUS of \(path): no attributes of \(entry.name)")
                }
                entries.append((entry.name.description, attributes.type))
            }
            guard !page.eof, let last = page.entries.last else { return entries }
            (cookie, verifier) = (last.cookie, page.cookieVerifier)
        }
    }

    // MARK: Paths

    private func find(_ path: String) async throws -> NFS3.FileHandle {
        var handle = client.rootHandle
        for name in path.split(separator: "/") {
            let result = try await client.lookup(NFS3.Filename(String(name)), in: handle)
            handle = try success(result, "LOOKUP", path).object
        }
        return handle
    }

    private func locate(
        _ path: String
    ) async throws -> (directory: NFS3.FileHandle, name: NFS3.Filename) {
        var names = path.split(separator: "/")
        let name = names.removeLast()
        return (try await find(names.joined(separator: "/")), NFS3.Filename(String(name)))
    }

    private func success<Success, Failure>(
        _ result: NFS3.Outcome<Success, Failure>, _ procedure: String, _ path: String
    ) throws -> Success {
        switch result {
        case .ok(let success): return success
        case .failure(let status, _): throw DemoFailure("\(procedure) of \(path): \(status)")
        }
    }
}
