import ROWTestKit

/// Clients' connections, with one call in flight each, or 32 among them if they are fewer.
enum ConnectionsCurve {
    private static let counts = [1, 10, 100, 1000]
    private static let callsInFlight = 32
    private static let file = "data"
    private static let operations = [
        (name: "GETATTR", operation: Load.Operation.getattr), ("READ 4K", .read),
    ]

    static func measure(_ settings: Settings) async throws -> [Curve] {
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        try TestFile.make("\(image)/\(file)", bytes: 1 << 20, seed: 1)
        let main = try await Ganesha.start(directory: image)
        let proxy = try await RowctlProcess.start(
            ["serve", image, "--session", "bench", "--state", folder.path("state")])
        var lines: [Curve.Line] = []
        for (side, server) in [("", Server(proxy)), ("ganesha, ", Server(main))] {
            for (name, operation) in operations {
                let results = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
                    try await Load(
                        operation: operation, inFlight: max(callsInFlight, count), file: file,
                        isRandom: true, client: .raw, connections: count
                    ).run(on: server, seconds: settings.seconds)
                }
                lines += Curve.lines(side + name, counts, results)
            }
        }
        try await proxy.terminate()
        try await main.stop()
        return [
            Curve(
                name: CurveCase.connections.rawValue, title: "Clients' connections",
                xTitle: "connections", unit: "µs per call", lines: lines)
        ]
    }
}
