import NFSProtocol
import NIOCore
import ROWCore
import SystemPackage

/// The history of a session while it is served.
///
/// Loop-confined.
final class SessionHistory {
    let directory: FilePath
    private(set) var history: History
    private(set) var touched: TouchedBlocks
    /// What was on disk and could not be used.
    let complaints: [String]
    /// What counters had reached at the end of the last sample.
    private var last: HistorySample
    /// Calls of the times before that it was served.
    private let earlier: CallCounts
    /// Calls to main, of all sessions, when this one came.
    private let mainBefore: [String: Int]

    /// Bytes that the shadow took up when that was added up, and when it is to be done again.
    var storedBytes = 0
    var storedDue = NIODeadline.now()

    /// While it is written; what waits for it to be written again then.
    private(set) var isSaving = false
    private var waiting: [() -> Void] = []
    private var touchedOnDisk: Int
    private var workOnDisk: Int

    /// - Parameter reading: what counters of the process and of main have reached.
    init(directory: FilePath, reading: HistorySample, calls: [String: Int]) {
        let files = HistoryFiles(in: directory)
        self.directory = directory
        history = files.history
        touched = files.touched
        complaints = files.complaints
        last = reading
        last.endMS = max(reading.endMS, files.history.samples.last?.endMS ?? 0)
        earlier = files.history.calls
        mainBefore = calls
        touchedOnDisk = files.complaints.isEmpty ? files.touched.bytes : -1
        workOnDisk = 0
    }

    /// Clients asked for a range of a file of the image.
    func touch(_ range: Range<UInt64>, of id: NodeID, in image: ImageStore) {
        touched.insert(range, of: id) { image.attributes(of: id)?.size }
    }

    /// Adds what was done since the last time.
    func sample(_ reading: HistorySample) {
        let sample = reading.since(last)
        guard sample.servedMS > 0 else { return }
        history.append(sample)
        last = reading
        last.endMS = sample.endMS
    }

    /// All calls, from the first time that it was served.
    func calls(_ now: CallCounts) -> CallCounts {
        var before = CallCounts()
        before.main = mainBefore
        return earlier + (now - before)
    }

    /// Whether a client mounted it so short a time ago that no other mark is worth it: some programs mount
    /// for each file.
    func hasMarkedMount(_ text: String) -> Bool {
        history.marks.contains {
            $0.isMount && $0.text == text && $0.timeMS > last.endMS - Self.mountPauseMS
        }
    }

    /// Names this moment.
    func mark(_ text: String, isMount: Bool, _ now: CallCounts) {
        history.add(
            HistoryMark(
                timeMS: last.endMS, text: text, isMount: isMount, calls: calls(now),
                sum: history.sum))
    }

    private static let mountPauseMS = 60_000

    // MARK: Saving

    /// Whether clients did something that is not on disk.
    var isWorthSaving: Bool { work != workOnDisk }

    private var work: Int { last.clientCalls + history.marks.count }

    /// What is to be written now; nil while it is being written, and then `then` is called when that is to
    /// be done again.
    func beginSaving(
        _ now: CallCounts, again then: @escaping () -> Void
    ) -> (files: HistoryFiles, withTouched: Bool)? {
        guard !isSaving else {
            waiting.append(then)
            return nil
        }
        isSaving = true
        history.calls = calls(now)
        let isTouchedNew = touched.bytes != touchedOnDisk
        touchedOnDisk = touched.bytes
        workOnDisk = work
        return (HistoryFiles(history: history, touched: touched), isTouchedNew)
    }

    /// It is written, or could not be.
    func endSaving() {
        isSaving = false
        let waiters = waiting
        waiting = []
        for waiter in waiters { waiter() }
    }
}
