import Foundation
import ROWTestKit

/// READs of 1 MiB by one connection, beside what TCP itself carries there between two programs: iperf3, in
/// the same network, with the same congestion control.
enum OneStream {
    static let name = "one stream, directory READ 1M x8"
    private static let depth = 8
    private static let transfer = 1 << 20

    static func measure(_ settings: Settings, into report: Report) async throws {
        guard settings.selects(name) else { return }
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        try TestFile.make("\(image)/data", bytes: settings.fileBytes, seed: 1)
        let proxy = try await RowctlProcess.start(
            ["serve", image, "--session", "bench", "--state", folder.path("state")])
        let loads = [Load.Client.libnfs, .raw].map {
            Load(
                operation: .read, sizeBytes: transfer, inFlight: depth, file: "data", client: $0)
        }
        // Into the page cache.
        try await loads[0].run(on: Server(proxy), calls: settings.fileBytes / transfer)
        var speeds: [[Double]] = [[], [], []]
        for _ in 0..<settings.rounds {
            for (index, load) in loads.enumerated() {
                let result = try await load.run(on: Server(proxy), seconds: settings.seconds)
                speeds[index].append(result.megabytesPerSecond)
            }
            speeds[2].append(try await stream(seconds: max(1, settings.seconds)))
        }
        try await proxy.terminate()
        let line = Samples(speeds[2])
        for (side, values) in zip(["rowfs", "rowfs, raw"], speeds) {
            let samples = Samples(values)
            report.add(
                Measured(
                    section: report.section, name: name, side: side, unit: "MB/s",
                    samples: samples, ratio: samples.median / line.median,
                    goal: GoalRow.oneStream.goal))
        }
        // The client without a library is the nearer to iperf3, which looks at no byte.
        report.claim(.oneStream, name, Samples(speeds[1]).median / line.median)
        report.add(
            Measured(
                section: report.section, name: name, side: "iperf3", unit: "MB/s", samples: line,
                ratio: 1))
    }

    /// One stream of iperf3.
    /// - Returns: MB/s.
    private static func stream(seconds: Double) async throws -> Double {
        struct Document: Decodable {
            struct End: Decodable { let sumReceived: Sum }
            struct Sum: Decodable { let bitsPerSecond: Double }
            let end: End
        }
        let program = try Tool.find(DebianTool.iperf3.name)
        let port = LoopbackPort.free()
        let server = try ChildProcess(
            program, ["-s", "-1", "-B", "127.0.0.1", "-p", "\(port)", "--forceflush"])
        try await poll(for: "iperf3", within: .seconds(10)) {
            server.output.contains("listening") ? () : nil
        }
        let output = try await runTool(
            program,
            [
                "-c", "127.0.0.1", "-p", "\(port)", "-l", "1M", "-t",
                "\(Int(seconds.rounded(.up)))", "-J",
            ])
        _ = try await server.exit(within: .seconds(10))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let document = try decoder.decode(Document.self, from: Data(output.utf8))
        return document.end.sumReceived.bitsPerSecond / 8e6
    }
}
