import Dispatch

/// The one thread at a time on which an image and its sessions run: the executor of their actors, and
/// the loop of the loop-confined objects that these own.
final class QueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }

    /// Runs work of the writers' threads here.
    var loop: LoopExecutor {
        { [queue] work in queue.async(execute: work) }
    }
}
