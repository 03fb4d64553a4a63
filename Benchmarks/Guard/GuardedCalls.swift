import Foundation
import NFSProtocol
import ROWTestKit

/// Calls of a client, one at a time, to a proxy that runs under callgrind.
enum GuardedCalls {
    private struct Workload {
        let name: String
        let load: Load
    }

    private static let calls = 500
    private static let repetitions = 3
    private static let fileBytes = 4 << 20
    private static let names = 200

    private static let local = [
        Workload(name: "call GETATTR", load: load(.getattr, "main")),
        Workload(name: "call LOOKUP", load: load(.lookup, "main")),
        Workload(name: "call ACCESS", load: load(.access, "main")),
        Workload(name: "call READ 4K of an image directory", load: load(.read, "main")),
        Workload(name: "call READ 32K of an image directory", load: load(.read, "main", 32)),
        Workload(name: "call READ 4K of the shadow", load: load(.read, "shadow")),
        Workload(name: "call READ 32K of the shadow", load: load(.read, "shadow", 32)),
        Workload(name: "call WRITE 4K, UNSTABLE", load: load(.write, "shadow")),
        Workload(name: "call READDIRPLUS 8K", load: load(.readdirplus, "names", 8)),
    ]

    private static let remote = [
        Workload(name: "call GETATTR, remote main", load: load(.getattr, "main")),
        Workload(name: "call READ 4K of the cache", load: load(.read, "main")),
        Workload(name: "call READ 32K of the cache", load: load(.read, "main", 32)),
    ]

    private static func load(
        _ operation: Load.Operation, _ file: String, _ kibibytes: Int = 4
    ) -> Load {
        Load(operation: operation, sizeBytes: kibibytes << 10, inFlight: 1, file: file)
    }

    static func count() async throws -> [Cost] {
        let image = try image()
        let main = try await Ganesha.start(directory: image.path)
        let costs =
            try await count(local, on: image.path) + count(remote, on: main.export.url)
        try await main.stop()
        return costs
    }

    private static func image() throws -> TemporaryDirectory {
        let image = try TemporaryDirectory("rowfs-guard")
        try TestFile.make(image.path("main"), bytes: fileBytes, seed: 1)
        try TestFile.make(image.path("shadow"), bytes: fileBytes, seed: 2)
        _ = try image.directory("names")
        for number in 0..<names { _ = try image.file("names/entry.\(number)", "") }
        return image
    }

    private static func count(_ workloads: [Workload], on source: String) async throws -> [Cost] {
        note("counting \(workloads.count) kinds of calls to a proxy of \(source)")
        let proxy = try await CountedProxy(of: source)
        try await fill(proxy.server)
        var costs: [Cost] = []
        for workload in workloads {
            _ = try await proxy.count(workload.load, calls: calls)
            var once: [Callgrind.Count] = []
            var twice: [Callgrind.Count] = []
            for _ in 0..<repetitions {
                once.append(try await proxy.count(workload.load, calls: calls))
                twice.append(try await proxy.count(workload.load, calls: 2 * calls))
            }
            costs.append(Cost(name: workload.name, once: once, twice: twice, operations: calls))
        }
        try await proxy.stop()
        return costs
    }

    /// Overwrites one file, and reads the other.
    private static func fill(_ server: Server) async throws {
        for (operation, file) in [(Load.Operation.write, "shadow"), (.read, "main")] {
            try await Load(operation: operation, sizeBytes: 1 << 20, inFlight: 1, file: file)
                .run(on: server, calls: fileBytes >> 20)
        }
    }
}
