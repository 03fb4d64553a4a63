/// The curves that are measured.
enum CurveCase: String, CaseIterable, Sendable {
    case blocks, connections, nodes
    case fileSize = "file-size"
    case layers

    var name: String { "curve of \(rawValue)" }

    static func measure(_ settings: Settings, into report: Report) async throws {
        for item in allCases where settings.selects(item.name) {
            note("measuring the \(item.name)")
            for curve in try await item.measure(settings) { report.add(curve) }
        }
    }

    private func measure(_ settings: Settings) async throws -> [Curve] {
        switch self {
        case .blocks: try await BlocksCurve.measure(settings)
        case .connections: try await ConnectionsCurve.measure(settings)
        case .nodes: try await NodesCurve.measure(settings)
        case .fileSize: try await FileSizeCurve.measure(settings)
        case .layers: try await LayersCurve.measure(settings)
        }
    }
}
