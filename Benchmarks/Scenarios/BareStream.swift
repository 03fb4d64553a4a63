import Foundation
import ROWTestKit

/// What the system alone takes to send a file of the page cache, in the ways that a server has: the least
/// that READs of that size can cost on this machine.
enum BareStream {
    static let name = "bare stream"
    private static let ways = [
        "write": "the same bytes again and again", "pread": "read, then written",
        "sendfile": "not copied",
    ]
    private static let pieces = [64 << 10, 1 << 20]

    static func measure(_ settings: Settings, into report: Report) async throws {
        guard settings.selects(name) else { return }
        let folder = try TemporaryDirectory("rowfs-bench")
        let program = try await CProgram.build("bare-stream", in: folder)
        let file = folder.path("data")
        try TestFile.make(file, bytes: settings.fileBytes, seed: 1)
        for piece in pieces {
            var speeds: [String: [Double]] = [:]
            var costs: [String: [Double]] = [:]
            for _ in 0..<settings.rounds {
                for way in ways.keys.sorted() {
                    let output = try await runTool(
                        program, [way, "\(piece)", file, "\(settings.seconds)"])
                    let figures = output.split(whereSeparator: \.isWhitespace).compactMap {
                        Double($0)
                    }
                    guard figures.count == 2 else { throw ToolOutput.malformed(output) }
                    speeds[way, default: []].append(figures[0])
                    costs[way, default: []].append(figures[1])
                }
            }
            for (unit, values) in [("MB/s", speeds), ("us CPU", costs)] {
                let base = Samples(values["pread"] ?? []).median
                for (way, note) in ways.sorted(by: { $0.key < $1.key }) {
                    let samples = Samples(values[way] ?? [])
                    report.add(
                        Measured(
                            section: report.section, name: "\(name), \(piece >> 10)K", side: way,
                            unit: unit, samples: samples, ratio: samples.median / base,
                            note: note))
                }
            }
        }
    }

    private enum ToolOutput: Error, CustomStringConvertible {
        case malformed(String)
        var description: String {
            switch self {
            case .malformed(let text): "bare-stream printed '\(text)', not two numbers"
            }
        }
    }
}
