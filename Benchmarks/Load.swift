import Foundation
import ROWTestKit

/// What `nfsload` (Benchmarks/Driver) is told to do.
struct Load: Sendable {
    enum Operation: String, Sendable {
        case read, write, getattr, lookup, access, readdirplus, create, remove, rename
        case writeCommit = "write-commit"
        case createRemove = "create-remove"
    }

    /// Who packs the calls: a library that is not ours, or the driver itself, which costs less.
    enum Client: String, Sendable {
        case libnfs, raw
    }

    var operation: Operation
    var sizeBytes = 4096
    var inFlight: Int
    var file: String
    /// What READ must find and WRITE writes.
    var localCopy: String?
    var isRandom = false
    /// Only every so many of the blocks of the size.
    var stride = 1
    /// Which order that looks random.
    var seed = 1
    /// The number of the first of the files that are made, renamed or removed.
    var first = 0
    /// What a whole listing must have.
    var entries: Int?
    var client = Client.libnfs
    /// Among which the calls in flight are divided.
    var connections = 1
    /// WRITE with FILE_SYNC.
    var isStable = false
    /// Each of the calls in flight has one: `file` and a number.
    var hasOwnFiles = false
    /// Each call is about one of so many, in turn: `file` and a number.
    var files: Int?
    /// The connections are divided among so many: the server's path and a number.
    var exports: Int?

    /// What it found.
    struct Result: Sendable {
        let figures: Figures
        let latency: Latencies

        var calls: Int { figures.calls }
        var callsPerSecond: Double { figures.callsPerSecond }
        var entriesPerSecond: Double { figures.entriesPerSecond }
        var megabytesPerSecond: Double { figures.megabytesPerSecond }
        var serverUsPerCall: Double { figures.serverUsPerCall }
        /// The slowest connection's calls to the mean.
        var fairness: Double {
            figures.callsPerConnection.min / figures.callsPerConnection.mean
        }
    }

    /// What it prints.
    struct Figures: Decodable, Sendable {
        let calls: Int
        let callsPerSecond: Double
        let entriesPerSecond: Double
        let megabytesPerSecond: Double
        let serverUsPerCall: Double
        let callsPerConnection: Spread

        struct Spread: Decodable, Sendable {
            let min: Double
            let mean: Double
        }
    }

    /// Applies the load for a while.
    func run(on server: Server, seconds: Double) async throws -> Result {
        try await run(on: server, ["--seconds", "\(seconds)"])
    }

    /// Makes so many calls.
    @discardableResult
    func run(on server: Server, calls: Int) async throws -> Result {
        try await run(on: server, ["--calls", "\(calls)"])
    }

    private func run(on server: Server, _ limit: [String]) async throws -> Result {
        let folder = try TemporaryDirectory("rowfs-load")
        let latencies = folder.path("latencies")
        let output = try await runTool(
            try ProjectPaths.builtProgram("nfsload"),
            arguments(for: server) + ["--latencies", latencies] + limit, within: .seconds(300))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return Result(
            figures: try decoder.decode(Figures.self, from: Data(output.utf8)),
            latency: try Latencies(contentsOf: latencies))
    }

    private func arguments(for server: Server) -> [String] {
        var arguments = [
            "--port", "\(server.export.port)", "--mount-port", "\(server.export.mountPort)",
            "--export", server.export.path, "--server-pid", "\(server.processID)",
            "--client", client.rawValue, "--operation", operation.rawValue,
            "--size", "\(sizeBytes)", "--in-flight", "\(inFlight)",
            "--connections", "\(connections)", "--file", file, "--stride", "\(stride)",
            "--seed", "\(seed)", "--first", "\(first)",
        ]
        if let localCopy { arguments += ["--local-copy", localCopy] }
        if let files { arguments += ["--files", "\(files)"] }
        if let exports { arguments += ["--exports", "\(exports)"] }
        if let entries { arguments += ["--entries", "\(entries)"] }
        if isRandom { arguments.append("--random") }
        if isStable { arguments.append("--stable") }
        if hasOwnFiles { arguments.append("--own-files") }
        return arguments
    }
}

/// Where a load goes, and whose processor time it costs.
struct Server: Sendable {
    let export: NFSExport
    let processID: Int32
}

extension Server {
    init(_ proxy: RowctlProcess) {
        self.init(export: proxy.export, processID: proxy.processID)
    }

    init(_ ganesha: Ganesha) {
        self.init(export: ganesha.export, processID: ganesha.processID)
    }

    /// The same with a directory of the export as its root.
    func directory(_ name: String) -> Server {
        let place = NFSExport(
            port: export.port, mountPort: export.mountPort, path: "\(export.path)/\(name)")
        return Server(export: place, processID: processID)
    }
}
