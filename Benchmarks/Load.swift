import Foundation
import ROWTestKit

/// What `nfsload` (Benchmarks/Driver) is told to do.
struct Load: Sendable {
    enum Operation: String, Sendable {
        case read, write, getattr, lookup, access, readdirplus, create
    }

    var operation: Operation
    var sizeBytes = 4096
    var inFlight: Int
    var file: String
    /// What READ must find and WRITE writes.
    var localCopy: String?
    var isRandom = false
    /// Among which the calls in flight are divided.
    var connections = 1
    /// WRITE with FILE_SYNC.
    var isStable = false
    /// Each of the calls in flight has one: `file` and a number.
    var hasOwnFiles = false

    /// What it found.
    struct Result: Decodable, Sendable {
        let calls: Int
        let callsPerSecond: Double
        let megabytesPerSecond: Double
        let serverUsPerCall: Double
        let p99Us: Double
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
        var arguments = [
            "--port", "\(server.export.port)", "--mount-port", "\(server.export.mountPort)",
            "--export", server.export.path, "--server-pid", "\(server.processID)",
            "--operation", operation.rawValue, "--size", "\(sizeBytes)",
            "--in-flight", "\(inFlight)", "--connections", "\(connections)", "--file", file,
        ]
        if let localCopy { arguments += ["--local-copy", localCopy] }
        if isRandom { arguments.append("--random") }
        if isStable { arguments.append("--stable") }
        if hasOwnFiles { arguments.append("--own-files") }
        let output = try await runTool(
            try ProjectPaths.builtProgram("nfsload"), arguments + limit, within: .seconds(300))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Result.self, from: Data(output.utf8))
    }
}

/// Where a load goes, and whose processor time it costs.
struct Server: Sendable {
    let export: NFSExport
    let processID: Int32
}
