import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import SystemPackage

@testable import ROWProxy
@testable import ROWStatus

/// A proxy over two simulated servers, and its status by HTTP.
final class Watched: Sendable {
    let folder: TemporaryDirectory
    let mains: [SimulatedNFSServer]
    let proxy: Proxy
    let client: NFSClient
    let source: StatusSource
    let server: StatusServer

    static func start(
        leases: [LeaseStatus] = [], timeout: TimeAmount = StatusServer.timeout
    ) async throws -> Watched {
        let folder = try TemporaryDirectory("rowfs-status")
        let mains = [
            try await SimulatedNFSServer.start(SimulatedTree.sample),
            try await SimulatedNFSServer.start(
                SimulatedTree.sample, handleTag: 0x77, fileidOffset: 1000),
        ]
        var configuration = Proxy.Configuration(
            image: .servers(try mains.map { try NFSURL($0.export.url) }), session: "s",
            state: StateDirectory(FilePath(folder.path("state"))))
        configuration.durability = .relaxed
        configuration.mainTimeout = .seconds(4)
        configuration.replicaTiming.changesFirst = .hours(1)
        configuration.replicaTiming.probe = .hours(1)
        let proxy = try await Proxy.start(configuration)
        var options = NFSClient.Options()
        options.connection.reservedPort = .never
        let url = try NFSURL("nfs://127.0.0.1:\(proxy.port)/s?mountport=\(proxy.port)")
        let client = try await NFSClient.connect(url, options: options)
        let source = StatusSource(
            version: "1.2.3", state: configuration.state.path, proxies: { [proxy] },
            leases: { leases })
        let server = try await StatusServer.start(
            host: "127.0.0.1", port: 0, source, timeout: timeout)
        return Watched(folder, mains, proxy, client, source, server)
    }

    private init(
        _ folder: TemporaryDirectory, _ mains: [SimulatedNFSServer], _ proxy: Proxy,
        _ client: NFSClient, _ source: StatusSource, _ server: StatusServer
    ) {
        self.folder = folder
        self.mains = mains
        self.proxy = proxy
        self.client = client
        self.source = source
        self.server = server
    }

    func stop() async throws {
        await client.close()
        await server.stop()
        try await proxy.stop()
        for main in mains { try? await main.stop() }
    }

    private struct NotFound: Error {}

    /// Reads, lists and writes, until one server has been found to be away.
    func work() async throws {
        let root = client.rootHandle
        _ = try await client.readdirplus(root, dircount: 4096, maxcount: 32_768)
        let file = try await client.lookup(NFS3.Filename("large"), in: root)
        guard case .ok(let found) = file else { throw NotFound() }
        for _ in 0..<3 { _ = try await client.read(found.object, offset: 0, count: 65_536) }
        _ = try await client.write(
            found.object, offset: 4096, data: ByteBuffer(repeating: 7, count: 4096),
            stable: .fileSync)
        try await mains[1].stop()
        _ = try await poll(for: "replica that is away", within: .seconds(60)) {
            try await proxy.status().main.contains { $0.state == "disconnected" } ? true : nil
        }
    }

    func get(_ path: String) async throws -> (head: String, body: String) {
        try await HTTP.get(path, port: server.port)
    }
}

/// Requests to a server of this machine.
enum HTTP {
    /// All that comes for what is sent, until the other end closes.
    static func answer(_ request: String, port: Int) async throws -> String {
        let connection = try await HTTPConnection(port: port)
        // It may be closed already.
        try? await connection.send(request)
        return String(buffer: try await connection.untilClosed())
    }

    static func request(
        _ path: String, method: String = "GET", host: String = "localhost", more: String = ""
    ) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(more)Connection: close\r\n\r\n"
    }

    static func get(_ path: String, port: Int) async throws -> (head: String, body: String) {
        let all = try await answer(request(path), port: port)
        guard let end = all.range(of: "\r\n\r\n") else { return (all, "") }
        return (String(all[..<end.lowerBound]), String(all[end.upperBound...]))
    }
}
