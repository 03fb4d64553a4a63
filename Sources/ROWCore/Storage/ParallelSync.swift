import Dispatch
import Synchronization
import SystemPackage

/// Syncs the files of one batch, several at a time: what waits for a disk at the same time, the disk and
/// the journal of its file system take together.
enum ParallelSync {
    /// How many at a time, in all of the process.
    static let width = 8

    /// Serial ones: each has a thread of its own when it is at work.
    private static let queues = (0..<width).map { DispatchQueue(label: "rowcore.sync.\($0)") }

    private final class Outcome: Sendable {
        let failure = Mutex<Errno?>(nil)
    }

    /// - Throws: what one of them failed by; all have ended then.
    static func sync(_ files: [SparseFile]) throws(Errno) {
        guard files.count > 1 else {
            for file in files { try file.sync() }
            return
        }
        let outcome = Outcome()
        // Whoever calls waits, and syncing is for any thread.
        let shared = Confined(value: files)
        let group = DispatchGroup()
        for start in 0..<min(files.count, width) {
            queues[start].async(group: group) {
                for index in stride(from: start, to: shared.value.count, by: width) {
                    do throws(Errno) { try shared.value[index].sync() } catch {
                        outcome.failure.withLock { $0 = $0 ?? error }
                    }
                }
            }
        }
        group.wait()
        if let failure = outcome.failure.withLock({ $0 }) { throw failure }
    }
}
