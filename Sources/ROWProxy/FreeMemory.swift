import CLinux
import NIOCore
import NIOPosix

/// Gives the system back, in quiet moments, what the process has allocated and does not use any more:
/// what was needed at the busiest time would stay with it otherwise.
///
/// Loop-confined.
final class FreeMemory {
    private var rule = Rule()
    private let loop: any EventLoop
    private let pool: NIOThreadPool

    init(loop: any EventLoop, pool: NIOThreadPool) {
        self.loop = loop
        self.pool = pool
    }

    /// To be told once a second.
    func look(at reading: HistorySample) {
        let traffic = reading.networkInBytes + reading.networkOutBytes
        guard rule.isTime(memoryBytes: reading.memoryBytes, trafficBytes: traffic) else { return }
        _ = pool.runIfActive(eventLoop: loop) { clinux_return_free_memory() }
    }

    /// When it is worth the time.
    struct Rule {
        /// What the process had after the last time; nil: not looked at yet.
        private var keptBytes: Int? = 0
        private var trafficBytes = 0

        private static let worthBytes = 4 << 20
        private static let quietBytes = 64 << 10

        /// - Parameter trafficBytes: since the process started.
        mutating func isTime(memoryBytes: Int, trafficBytes: Int) -> Bool {
            let isQuiet = trafficBytes - self.trafficBytes < Self.quietBytes
            self.trafficBytes = trafficBytes
            guard let kept = keptBytes else {
                // What came in a busy second may not be in use for long.
                keptBytes = isQuiet ? memoryBytes : 0
                return false
            }
            guard isQuiet, memoryBytes > kept + Self.worthBytes else { return false }
            keptBytes = nil
            return true
        }
    }
}
