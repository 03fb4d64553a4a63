import ROWTestKit

/// Nodes that the proxy knows, those of one directory, each as likely as the others to be asked for.
enum NodesCurve {
    private static let counts = [1_000, 10_000, 100_000, 1_000_000]
    private static let directory = "entries"
    private static let operations = [
        (name: "LOOKUP", operation: Load.Operation.lookup), ("GETATTR", .getattr),
    ]

    static func measure(_ settings: Settings) async throws -> [Curve] {
        let folder = try TemporaryDirectory("rowfs-bench")
        var proxies: [Int: RowctlProcess] = [:]
        for count in counts {
            let image = folder.path("image.\(count)")
            try ManyFiles.make(count, in: "\(image)/\(directory)")
            let proxy = try await RowctlProcess.start(
                ["serve", image, "--session", "bench", "--state", folder.path("state.\(count)")])
            proxies[count] = proxy
            // Now it knows them all.
            try await ManyFiles.listing(of: directory, count)
                .run(on: Server(proxy), calls: ManyFiles.pages(count))
        }
        let server = { (count: Int) throws in
            guard let proxy = proxies[count] else { preconditionFailure("not one of the counts") }
            return Server(proxy)
        }
        var lines: [Curve.Line] = []
        for (name, operation) in operations {
            let results = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
                try await ManyFiles.load(operation, count, isRandom: true)
                    .run(on: server(count).directory(directory), seconds: settings.seconds)
            }
            lines += Curve.lines(name, counts, results)
        }
        let listings = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
            try await ManyFiles.listing(of: directory, count)
                .run(on: server(count), seconds: settings.seconds)
        }
        lines.append(
            Curve.line(
                "READDIRPLUS, each entry", counts,
                listings.map { $0.map { 1e6 / $0.entriesPerSecond } }))
        for proxy in proxies.values { try await proxy.terminate() }
        return [
            Curve(
                name: CurveCase.nodes.rawValue, title: "Nodes known", xTitle: "nodes",
                unit: "µs per call or entry", lines: lines)
        ]
    }
}
