import ROWTestKit

/// The layers of a session, one more than its snapshots, each with its part of the blocks of a file that has
/// been overwritten.
enum LayersCurve {
    private static let counts = [1, 4, 16]
    private static let fileBytes = 64 << 20
    private static let blockBytes = 4096
    private static let blocks = fileBytes / blockBytes
    private static let file = "data"
    private static let operations = [
        (name: "READ 4K", load: load(.read, blockBytes, isRandom: true)),
        ("READ 64K", load(.read, 64 << 10, isRandom: false)),
        // Last, since then all blocks come to the top.
        ("WRITE 4K", load(.write, blockBytes, isRandom: true)),
    ]

    static func measure(_ settings: Settings) async throws -> [Curve] {
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        try TestFile.makeSparse("\(image)/\(file)", bytes: fileBytes)
        var proxies: [Int: RowctlProcess] = [:]
        for count in counts {
            let state = folder.path("state.\(count)")
            let proxy = try await RowctlProcess.start(
                ["serve", image, "--session", "bench", "--state", state])
            proxies[count] = proxy
            try await makeLayers(count, Server(proxy), state: state)
        }
        var lines: [Curve.Line] = []
        for (name, load) in operations {
            let results = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
                guard let proxy = proxies[count] else { preconditionFailure("not of the counts") }
                return try await load.run(on: Server(proxy), seconds: settings.seconds)
            }
            lines += Curve.lines(name, counts, results)
        }
        for proxy in proxies.values { try await proxy.terminate() }
        return [
            Curve(
                name: CurveCase.layers.rawValue, title: "Layers of a session", xTitle: "layers",
                unit: "µs per call", lines: lines)
        ]
    }

    /// Overwrites all of the file, and then a part in each further layer.
    private static func makeLayers(_ count: Int, _ server: Server, state: String) async throws {
        var write = load(.write, blockBytes, isRandom: true)
        try await write.run(on: server, calls: blocks)
        for layer in 1..<count {
            try await RowctlProcess.run(["snapshot", "bench", "tag\(layer)", "--state", state])
            write.seed = layer + 1
            try await write.run(on: server, calls: blocks / count)
        }
    }

    private static func load(
        _ operation: Load.Operation, _ sizeBytes: Int, isRandom: Bool
    ) -> Load {
        Load(
            operation: operation, sizeBytes: sizeBytes, inFlight: 8, file: file,
            isRandom: isRandom, client: .raw)
    }
}
