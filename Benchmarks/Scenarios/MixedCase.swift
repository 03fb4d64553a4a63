import Foundation
import ROWTestKit

/// READ of a file of which the session has overwritten every other block of 4 KiB, beside a file of the same
/// session that it has not.
struct MixedCase: Sendable {
    /// Where the other half comes from.
    enum Route: String, CaseIterable, Sendable {
        case directory, cached
    }

    let route: Route
    let sizeBytes: Int
    let inFlight: Int
    let isRandom: Bool

    var name: String {
        "half-modified \(route.rawValue) \(isRandom ? "random" : "sequential") "
            + "\(sizeBytes >> 10)K x\(inFlight)"
    }

    private var row: GoalRow { isRandom ? .halfRandom : .halfSequential }

    static let all = Route.allCases.flatMap { route in
        [1, 8].flatMap { depth in
            [
                MixedCase(route: route, sizeBytes: 64 << 10, inFlight: depth, isRandom: false),
                MixedCase(route: route, sizeBytes: 4 << 10, inFlight: depth, isRandom: true),
            ]
        }
    }

    private static let half = "half"
    private static let twin = "twin"
    private static let transfer = 1 << 20

    // MARK: Measuring

    static func measure(_ settings: Settings, into report: Report) async throws {
        let cases = all.filter { settings.selects($0.name) }
        guard !cases.isEmpty else { return }
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        for name in [half, twin] {
            try TestFile.make("\(image)/\(name)", bytes: settings.fileBytes, seed: 1)
        }
        let content = folder.path("content")
        try TestFile.make(content, bytes: settings.fileBytes, seed: 1, evenBlocks: 2)
        let main = try await Ganesha.start(directory: image)
        for route in Route.allCases where cases.contains(where: { $0.route == route }) {
            let source = route == .directory ? image : main.export.url
            let proxy = try await RowctlProcess.start(
                ["serve", source, "--session", "bench", "--state", folder.path(route.rawValue)])
            let server = Server(proxy)
            try await prepare(server, content: content, image: image, bytes: settings.fileBytes)
            for item in cases where item.route == route {
                try await item.measure(on: server, settings, into: report)
            }
            try await proxy.terminate()
        }
        try await main.stop()
    }

    /// Brings all of main that is needed here, overwrites half of a file, and checks what both have then.
    private static func prepare(
        _ server: Server, content: String, image: String, bytes: Int
    ) async throws {
        for name in [half, twin] {
            try await Load(
                operation: .read, sizeBytes: transfer, inFlight: 8, file: name,
                localCopy: "\(image)/\(name)"
            ).run(on: server, calls: bytes / transfer)
        }
        try await Load(
            operation: .write, sizeBytes: 4096, inFlight: 32, file: half, localCopy: content,
            stride: 2
        ).run(on: server, calls: bytes / 8192)
        for (name, copy) in [(half, content), (twin, "\(image)/\(twin)")] {
            try await Load(
                operation: .read, sizeBytes: transfer, inFlight: 8, file: name, localCopy: copy
            ).run(on: server, calls: bytes / transfer)
        }
    }

    private func measure(
        on server: Server, _ settings: Settings, into report: Report
    ) async throws {
        var speeds: [[Double]] = [[], []]
        for _ in 0..<settings.rounds {
            for (index, file) in [Self.half, Self.twin].enumerated() {
                let load = Load(
                    operation: .read, sizeBytes: sizeBytes, inFlight: inFlight, file: file,
                    isRandom: isRandom)
                let result = try await load.run(on: server, seconds: settings.seconds)
                speeds[index].append(result.megabytesPerSecond)
            }
        }
        let ratio = Samples(speeds[0]).median / Samples(speeds[1]).median
        report.add(
            Measured(
                section: report.section, name: name, side: "rowfs", unit: "MB/s",
                samples: Samples(speeds[0]), ratio: ratio, goal: row.goal))
        report.add(
            Measured(
                section: report.section, name: name, side: "its twin", unit: "MB/s",
                samples: Samples(speeds[1]), ratio: 1))
        report.claim(row, name, ratio)
    }
}
