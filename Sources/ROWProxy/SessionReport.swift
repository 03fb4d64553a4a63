import Foundation
import ROWCore

/// The figures of one session, for `rowctl report`. The keys of its JSON are an interface for other programs.
public struct SessionReport: Codable, Sendable, Equatable {
    public var session: String
    public var image: String
    /// `running` or `stopped`.
    public var state: String
    /// When it was asked for, in milliseconds since 1970.
    public var timeMS: Int
    public var calls: CallCounts
    public var bytes: Bytes
    /// From each mark to the next, in order; before the first mark it has no name.
    public var phases: [Phase]
    public var marks: [HistoryMark]
    public var samples: [HistorySample]
    /// What readers should know.
    public var notes: [String]

    public struct Bytes: Codable, Sendable, Equatable {
        /// Distinct bytes of the image that clients asked for; more than that when `isTouchedLeast`.
        public var touched = 0
        public var isTouchedLeast = false
        /// Of the image's files, as far as they are known; nil when nothing is.
        public var image: Int?
        public var imageFiles = 0
        /// Directories whose files are not in `image`; 0 makes it exact.
        public var unlistedDirectories = 0
        /// What main sent, and what of main's bytes was kept here when clients read it.
        public var fromMain = 0
        public var cacheHit = 0
        /// What the session's shadow takes up.
        public var shadowStored = 0

        public init() {}
    }

    /// What was done from one mark to the next.
    public struct Phase: Codable, Sendable, Equatable {
        public var name: String
        public var startMS: Int
        public var endMS: Int
        public var calls: CallCounts
        /// What was touched and stored is as it was at the end.
        public var sum: HistorySample
    }

    public init(session: String, image: String, history: History, timeMS: Int) {
        self.session = session
        self.image = image
        state = "stopped"
        self.timeMS = timeMS
        calls = history.calls
        bytes = Bytes()
        bytes.fromMain = history.sum.fromMainBytes
        bytes.cacheHit = history.sum.cacheHitBytes
        bytes.touched = history.sum.touchedBytes
        bytes.shadowStored = history.sum.storedBytes
        phases = Phase.all(of: history)
        marks = history.marks
        samples = history.samples
        notes = []
    }

    /// The figures of a session: what its process has, or what is on disk when nobody serves it.
    /// - Throws: `StateError` when there is no such session.
    public static func read(_ name: String, in state: StateDirectory) throws -> SessionReport {
        let directory = try state.existingSession(name)
        let stored = try StoredSession.read(directory)
        let imageDirectory = state.image(stored.image)
        let answer = try ControlSocket.ask(
            .saveHistory(session: name), imageDirectory: imageDirectory)
        let files = HistoryFiles(in: directory)
        var report = SessionReport(
            session: name, image: stored.image, history: files.history,
            timeMS: Int(Date().timeIntervalSince1970 * 1000))
        switch answer {
        case .done: report.state = "running"
        case .refused(let message): throw StateError(.io, message)
        case .notServed, nil: break
        case .status, .joined, .report, .machines: throw StateError(.io, "an answer to another question")
        }
        report.bytes.touched = files.touched.bytes
        report.bytes.isTouchedLeast = files.touched.isFull
        report.bytes.shadowStored = Int(stored.allocated)
        // A session that lost its image database has none until it is served again.
        if let known = try? StoredImage.read(imageDirectory) {
            report.bytes.image = known.bytes
            report.bytes.imageFiles = known.files
            report.bytes.unlistedDirectories = known.unlistedDirectories
        }
        report.notes = files.complaints
        return report
    }
}

extension SessionReport.Phase {
    /// Marks that clients made divide a history only as long as an operator made none.
    static func all(of history: History) -> [SessionReport.Phase] {
        guard let first = history.samples.first, let last = history.samples.last else { return [] }
        let operators = history.marks.filter { !$0.isMount }
        let start = HistoryMark(
            timeMS: first.startMS, text: "", isMount: false, calls: CallCounts(),
            sum: HistorySample())
        let end = HistoryMark(
            timeMS: last.endMS, text: "", isMount: false, calls: history.calls, sum: history.sum)
        let marks = [start] + (operators.isEmpty ? history.marks : operators) + [end]
        let phases = zip(marks, marks.dropFirst()).map { from, to in
            var sum = to.sum
            for field in HistorySample.sums { sum[keyPath: field] -= from.sum[keyPath: field] }
            (sum.startMS, sum.endMS) = (from.timeMS, to.timeMS)
            sum.memoryBytes =
                history.samples.lazy
                .filter { $0.endMS > from.timeMS && $0.startMS < to.timeMS }
                .map(\.memoryBytes).max() ?? to.sum.memoryBytes
            return SessionReport.Phase(
                name: from.text, startMS: from.timeMS, endMS: to.timeMS,
                calls: to.calls - from.calls,
                sum: sum)
        }
        // Before the first mark there may have been nothing.
        return phases.filter { !$0.name.isEmpty || $0.calls != CallCounts() }
    }
}
