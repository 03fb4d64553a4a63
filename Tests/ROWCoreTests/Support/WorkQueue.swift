import Foundation

@testable import ROWCore

/// The loop of a test: what is sent here runs when the test's own thread asks for it.
final class WorkQueue: Sendable {
    private let inner = Inner()

    /// `@unchecked Sendable`: every access is under the condition's lock.
    private final class Inner: @unchecked Sendable {
        let condition = NSCondition()
        var work: [@Sendable () -> Void] = []
    }

    var executor: LoopExecutor {
        { [inner] work in
            inner.condition.withLock {
                inner.work.append(work)
                inner.condition.signal()
            }
        }
    }

    /// Runs what comes, in order, until `isDone`; waits without limit, as what is waited for is a
    /// commit that was begun.
    func run(until isDone: () -> Bool) {
        while !isDone() {
            inner.condition.lock()
            while inner.work.isEmpty { inner.condition.wait() }
            let next = inner.work.removeFirst()
            inner.condition.unlock()
            next()
        }
    }
}
