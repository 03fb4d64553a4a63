import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWTestKit
import SystemPackage

@testable import ROWProxy

/// A proxy in this process, over a directory or a simulated main, and a client of it.
final class Served: Sendable {
    let folder: TemporaryDirectory
    let configuration: Proxy.Configuration
    let proxy: Proxy
    let client: NFSClient

    var root: NFS3.FileHandle { client.rootHandle }
    var port: Int { proxy.port }

    /// Serves a directory with a file of each size that matters, a directory and a symbolic link.
    static func directory(
        _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let image = try folder.directory("image")
        _ = try folder.file("image/hello", "hello, world\n")
        _ = try folder.file("image/empty", "")
        _ = try folder.file("image/large", String(repeating: "0123456789abcdef", count: 20_000))
        _ = try folder.directory("image/directory")
        for index in 0..<40 { _ = try folder.file("image/directory/file\(index)", "\(index)\n") }
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("image/link"), withDestinationPath: "directory/file7")
        return try await start(.directory(FilePath(image)), in: folder, configure)
    }

    /// Serves what a simulated server exports. Calls to it time out soon.
    static func remote(
        _ main: SimulatedNFSServer, in folder: TemporaryDirectory? = nil,
        _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        let url = try NFSURL(main.export.url)
        return try await start(.server(url), in: folder ?? TemporaryDirectory("rowfs-proxy")) {
            $0.mainTimeout = .seconds(1)
            configure(&$0)
        }
    }

    static func start(
        _ image: Proxy.Image, in folder: TemporaryDirectory,
        _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        var configuration = Proxy.Configuration(
            image: image, session: "s", state: StateDirectory(FilePath(folder.path("state"))))
        configuration.durability = .relaxed
        // What comes by the clock is for tests of that.
        configuration.replicaTiming.changesFirst = .hours(1)
        configure(&configuration)
        return try await start(configuration, in: folder)
    }

    private static func start(
        _ configuration: Proxy.Configuration, in folder: TemporaryDirectory
    ) async throws -> Served {
        let proxy = try await Proxy.start(configuration)
        let client = try await client(of: proxy, configuration.session)
        return Served(folder, configuration, proxy, client)
    }

    private init(
        _ folder: TemporaryDirectory, _ configuration: Proxy.Configuration, _ proxy: Proxy,
        _ client: NFSClient
    ) {
        self.folder = folder
        self.configuration = configuration
        self.proxy = proxy
        self.client = client
    }

    private static func client(of proxy: Proxy, _ path: String) async throws -> NFSClient {
        try await client(port: proxy.port, path)
    }

    /// A client of what is mounted at a path of a proxy on this machine.
    static func client(port: Int, _ path: String) async throws -> NFSClient {
        var options = NFSClient.Options()
        options.connection.reservedPort = .never
        let url = "nfs://127.0.0.1:\(port)/\(path)?mountport=\(port)"
        return try await NFSClient.connect(NFSURL(url), options: options)
    }

    /// The same calls by somebody else, over the same connection.
    func client(uid: UInt32, gid: UInt32, groups: [UInt32] = []) -> NFSClient {
        var copy = client
        copy.credential = .sys(RPC.AuthSys(uid: uid, gid: gid, groups: RPC.Groups(groups)))
        return copy
    }

    /// Mounts another path.
    func mount(_ path: String) async throws -> NFSClient {
        try await Self.client(of: proxy, path)
    }

    /// Bytes that clients have left with the port.
    func leftBytes() async throws -> Int {
        let imageLoop = proxy.imageLoop
        return try await imageLoop.eventLoop.submit {
            imageLoop.value?.server.memory.leftBytes ?? 0
        }
        .get()
    }

    func raw(
        from address: String? = nil, isPrivileged: Bool = false, isReading: Bool = true
    ) async throws -> RawConnection {
        guard isPrivileged else {
            return try await RawConnection.connect(port: port, from: address, isReading: isReading)
        }
        return try await poll(for: "free privileged port", within: .seconds(20)) {
            try? await RawConnection.connect(
                port: port, from: address, localPort: .random(in: 600..<1024),
                isReading: isReading)
        }
    }

    func stop() async throws {
        await client.close()
        try await proxy.stop()
    }

    /// Stops it and serves the same session again.
    func restarted() async throws -> Served {
        try await stop()
        return try await Self.start(configuration, in: folder)
    }

    /// The handle at a path, looked up name by name, with a client's patience.
    func handle(_ path: String) async throws -> NFS3.FileHandle {
        var handle = root
        for name in path.split(separator: "/") {
            let directory = handle
            handle = try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
                let result = try await client.lookup(NFS3.Filename(String(name)), in: directory)
                return result.status == .jukebox ? nil : try result.success.object
            }
        }
        return handle
    }

    /// A new file with these bytes.
    func create(_ name: String, _ text: String = "") async throws -> NFS3.FileHandle {
        try await client.create(name, text)
    }

    func text(of file: NFS3.FileHandle) async throws -> String { try await client.text(of: file) }
}

extension NFSClient {
    /// A new file in the root with these bytes, or the old one overwritten with them.
    func create(_ name: String, _ text: String = "") async throws -> NFS3.FileHandle {
        let made = try await create(
            NFS3.Filename(name), in: rootHandle, .unchecked(NFS3.SetAttributes(mode: 0o644))
        ).success
        guard let handle = made.handle else { throw UnexpectedStatus(status: .ok) }
        if !text.isEmpty {
            _ = try await write(
                handle, offset: 0, data: ByteBuffer(string: text), stable: .fileSync
            ).success
        }
        return handle
    }

    func text(of file: NFS3.FileHandle) async throws -> String {
        let (result, data) = try await read(file, offset: 0, count: 1 << 20)
        _ = try result.success
        return String(buffer: data)
    }
}

/// An NFS status where a test wants success.
struct UnexpectedStatus: Error, Equatable {
    let status: NFS3.Status
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
