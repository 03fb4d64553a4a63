import ArgumentParser

/// Cases that are measured together: a part of the printed results, and a chart. A new section is a case
/// here, its title, the names of its cases and how they are measured.
enum Section: String, CaseIterable, ExpressibleByArgument, Encodable, Sendable {
    case parts, reads, mixed, writes, names
    case passThrough = "pass-through"
    case durable, redirect, memory, scale, curves

    var title: String {
        switch self {
        case .parts: "Parts alone, in this process"
        case .reads: "READ of what is on this machine: shadow, cache, image directory"
        case .mixed: "Files that the session has overwritten by half"
        case .writes: "WRITE, UNSTABLE, into the shadow"
        case .names: "Names and attributes"
        case .passThrough: "READ of what main has"
        case .durable: "Changes that are on disk when they are answered"
        case .redirect: "Redirect on write, beside others that do it"
        case .memory: "Memory above that of the idle process"
        case .scale: "Many connections, and many sessions of one image"
        case .curves: "What the cost of an operation depends on"
        }
    }

    /// What its ratios are to, where that is not nfs-ganesha.
    var ratioTitle: String {
        switch self {
        case .mixed: "speed as a multiple of the unmodified twin's, medians"
        case .redirect:
            "multiple of nfs-ganesha's time, of the data written, or of the unmodified twin's speed, "
                + "logarithmic"
        default: "ratio of medians"
        }
    }

    /// Whether the run selects any of its cases.
    func hasAny(of settings: Settings) -> Bool {
        caseNames.contains { settings.selects($0) }
    }

    private var caseNames: [String] {
        switch self {
        case .parts: Self.allParts.map(\.name)
        case .reads: WholePathCase.reads.map(\.name) + [OneStream.name, BareStream.name]
        case .mixed: MixedCase.all.map(\.name)
        case .writes: WholePathCase.writes.map(\.name)
        case .names: WholePathCase.names.map(\.name)
        case .passThrough: WholePathCase.passThrough.map(\.name)
        case .durable: DurabilityCase.all.map(\.name) + NameChange.allCases.map(\.name)
        case .redirect: RedirectCase.allCases.map(\.name)
        case .memory: MemoryCase.allCases.map(\.name)
        case .scale: ScaleCase.all.map(\.name)
        case .curves: CurveCase.allCases.map(\.name)
        }
    }

    /// Tools that its cases need, beside those of ``Peer``.
    func tools(for settings: Settings) -> [DebianTool] {
        switch self {
        case .parts: []
        case .reads where settings.selects(OneStream.name): [.ganesha, .iperf3]
        case .redirect: [.ganesha] + settings.peers.flatMap(\.tools)
        default: [.ganesha]
        }
    }

    func measure(_ settings: Settings, into report: Report) async throws {
        switch self {
        case .parts:
            for part in Self.allParts where settings.selects(part.name) {
                report.add(try part.measure(rounds: settings.rounds, seconds: settings.seconds))
            }
        case .reads:
            try await Lab.measure(WholePathCase.reads, settings, into: report)
            try await OneStream.measure(settings, into: report)
            try await BareStream.measure(settings, into: report)
        case .mixed: try await MixedCase.measure(settings, into: report)
        case .writes: try await Lab.measure(WholePathCase.writes, settings, into: report)
        case .names: try await Lab.measure(WholePathCase.names, settings, into: report)
        case .passThrough: try await Lab.measure(WholePathCase.passThrough, settings, into: report)
        case .durable: try await DurabilityLab.measure(settings, into: report)
        case .redirect: try await RedirectLab.measure(settings, into: report)
        case .memory: try await MemoryCase.measure(settings, into: report)
        case .scale: try await ScaleCase.measure(settings, into: report)
        case .curves: try await CurveCase.measure(settings, into: report)
        }
    }

    private static var allParts: [Part] {
        CodecParts.all + RecordParts.all + BlockParts.all + SessionParts.all
    }
}
