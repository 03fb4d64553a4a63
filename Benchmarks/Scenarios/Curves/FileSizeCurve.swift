import ROWTestKit

/// The size of a file without data, of which the same number of blocks are used, from its beginning to its
/// end.
enum FileSizeCurve {
    private static let sizes = [1 << 20, 1 << 30, 8 << 30, 1 << 40]
    private static let blockBytes = 4096
    private static let blocks = sizes[0] / blockBytes
    /// A round writes to several, since each has few blocks that were not written before.
    private static let filesOfRound = 8

    static func measure(_ settings: Settings) async throws -> [Curve] {
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        for size in sizes {
            for number in 0..<(filesOfRound * settings.rounds) {
                try TestFile.makeSparse("\(image)/\(name(size, number))", bytes: size)
            }
        }
        let proxy = try await RowctlProcess.start(
            ["serve", image, "--session", "bench", "--state", folder.path("state")])
        let server = Server(proxy)
        let read = { (size: Int, _: Int) async throws in
            try await load(.read, size, 0, inFlight: 8).run(on: server, seconds: settings.seconds)
        }
        // Blocks of the first files, into the page cache, and once more as they are in the shadow.
        _ = try await Curve.rounds(1, at: sizes, read)
        let unmodified = try await Curve.rounds(settings.rounds, at: sizes, read)
        let writes = try await Curve.rounds(settings.rounds, at: sizes) { size, round in
            var passed = 0.0
            for number in 0..<filesOfRound {
                let result = try await load(
                    .write, size, round * filesOfRound + number, inFlight: 1
                ).run(on: server, calls: blocks)
                passed += Double(result.calls) / result.callsPerSecond
            }
            return passed * 1e6 / Double(filesOfRound * blocks)
        }
        let modified = try await Curve.rounds(settings.rounds, at: sizes, read)
        try await proxy.terminate()
        return [
            Curve(
                name: CurveCase.fileSize.rawValue, title: "Size of a file",
                xTitle: "bytes of the file", unit: "µs per call",
                lines: Curve.lines("READ 4K of the image", sizes, unmodified)
                    + Curve.lines("READ 4K of the shadow", sizes, modified)
                    + [Curve.line("first WRITE 4K, x1", sizes, writes)])
        ]
    }

    private static func name(_ size: Int, _ number: Int) -> String { "data.\(size).\(number)" }

    private static func load(
        _ operation: Load.Operation, _ size: Int, _ number: Int, inFlight: Int
    ) -> Load {
        Load(
            operation: operation, sizeBytes: blockBytes, inFlight: inFlight,
            file: name(size, number), isRandom: true, stride: size / sizes[0], client: .raw)
    }
}
