import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit

@testable import ROWProxy

/// Simulated servers of one tree, with handles and fileids of their own, and a proxy over all.
final class Replicated: Sendable {
    let servers: [SimulatedNFSServer]
    let served: Served

    static let names = ["first", "second", "third"]

    /// Servers that are not the same where `changing` makes them so, before the proxy sees them.
    static func start(
        _ count: Int = 2, tree: SimulatedTree.Item = SimulatedTree.sample,
        changing: (([SimulatedNFSServer]) -> Void)? = nil,
        configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Replicated {
        var servers: [SimulatedNFSServer] = []
        for index in 0..<count { servers.append(try await server(index, tree: tree)) }
        changing?(servers)
        let urls = try servers.map { try NFSURL($0.export.url) }
        let served = try await Served.start(
            .servers(urls), in: TemporaryDirectory("rowfs-replicas")
        ) {
            $0.mainTimeout = .seconds(4)
            // Measured on a machine that is busy with tests, who is near is chance.
            $0.replicaTiming.probe = .hours(1)
            $0.replicaTiming.recheck = .milliseconds(100)
            // What is kept here hides what is asked.
            $0.cacheSize = ByteSize(bytes: 0)
            configure(&$0)
        }
        return Replicated(servers, served)
    }

    static func server(
        _ index: Int, tree: SimulatedTree.Item = SimulatedTree.sample, port: Int = 0
    ) async throws -> SimulatedNFSServer {
        try await SimulatedNFSServer.start(
            tree, port: port, handleTag: 0x50 + UInt32(index), fileidOffset: UInt64(index) * 1000)
    }

    /// The sample tree with other contents of "hello" or of files of "directory", before anybody sees it.
    static func sample(but changes: [String: String]) -> SimulatedTree.Item {
        .directory([
            ("hello", .file(changes["hello"] ?? "hello, world\n")), ("empty", .file("")),
            ("large", .file(SimulatedTree.largeFile)),
            (
                "directory",
                .directory(
                    (0..<40).map {
                        ("file\($0)", .file(changes["file\($0)"] ?? "this is file \($0)\n"))
                    })
            ),
            ("link", .symlink("directory/file7")),
        ])
    }

    private init(_ servers: [SimulatedNFSServer], _ served: Served) {
        self.servers = servers
        self.served = served
    }

    func stop() async throws {
        try await served.stop()
        for server in servers { try? await server.stop() }
    }

    // MARK: What stat-session tells

    var mains: [ROWProxy.SessionStatus.Main] {
        get async throws { try await served.proxy.status().main }
    }

    var active: Int? {
        get async throws { try await mains.firstIndex { $0.isActive } }
    }

    var events: String {
        get async throws {
            try await served.proxy.status().events.map(\.message).joined(separator: "\n")
        }
    }

    func waitUntil(_ state: String, _ indices: Int...) async throws {
        try await poll(for: "state \(state) of \(indices)", within: .seconds(30)) {
            let mains = try await mains
            return indices.allSatisfy { mains[$0].state == state } ? () : nil
        }
    }

    func waitUntilActive(_ index: Int) async throws {
        try await poll(for: "change to \(index)", within: .seconds(30)) {
            try await active == index ? () : nil
        }
    }

    /// Makes a server the one that is asked, by being the only one that is near. Needs probes.
    func prefer(_ index: Int) async throws {
        for (other, server) in servers.enumerated() {
            server.setDelay(other == index ? .zero : .milliseconds(20))
        }
        try await waitUntilActive(index)
    }

    /// Ends a server and its connections at once.
    static func kill(_ server: SimulatedNFSServer) async throws {
        // Connections end a moment after the listener: nothing is answered over them any more.
        server.setSilent(true)
        try await server.stop()
    }

    /// One READ of a whole file: what it holds, or the status.
    func read(_ file: NFS3.FileHandle) async throws -> Result<String, UnexpectedStatus> {
        let (result, data) = try await served.client.read(file, offset: 0, count: 1 << 20)
        guard result.status == .ok else { return .failure(UnexpectedStatus(status: result.status)) }
        return .success(String(buffer: data))
    }
}
