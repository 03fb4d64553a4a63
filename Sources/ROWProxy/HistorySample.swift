/// What was done in a stretch of time: by the process that served a session, and for the session itself.
///
/// The same fields hold readings of counters, which count from the start of the process; what lies between
/// two of those is a sample (``since(_:)``).
public struct HistorySample: Codable, Sendable, Equatable {
    // When, in milliseconds since 1970.
    public var startMS = 0
    public var endMS = 0

    // Sums. The first is the time in which the session was served, in milliseconds: less than from start to
    // end where that was not always so.
    public var servedMS = 0

    // Of the process, for all sessions that it serves.

    /// Processor time, of all its threads together.
    public var cpuMicroseconds = 0
    /// Bytes that its reads and writes of files moved from and to disks (`/proc/self/io`).
    public var diskReadBytes = 0
    public var diskWrittenBytes = 0
    /// Bytes over TCP, from and to clients and servers.
    public var networkInBytes = 0
    public var networkOutBytes = 0
    public var mainCalls = 0
    /// Bytes of files that main sent, or that were read of a main on this machine.
    public var fromMainBytes = 0
    /// Bytes of main's files that clients read and that were kept here.
    public var cacheHitBytes = 0

    // Of the session.

    public var clientCalls = 0
    public var shadowCalls = 0
    /// Bytes of files that clients wrote and read.
    public var fromClientBytes = 0
    public var toClientBytes = 0

    // As it was at the end; of the memory the most that there was.

    /// Bytes of memory that the process held.
    public var memoryBytes = 0
    /// Distinct bytes of the image that clients have asked for, and bytes that the shadow takes up.
    public var touchedBytes = 0
    public var storedBytes = 0

    public init() {}

    /// In seconds.
    public var servedSeconds: Double { Double(servedMS) / 1000 }

    /// Percent of one processor.
    public var cpuPercent: Double {
        servedMS > 0 ? Double(cpuMicroseconds) / Double(servedMS) / 10 : 0
    }

    /// The fields that add up.
    public static var sums: [WritableKeyPath<HistorySample, Int>] {
        [
            \.servedMS, \.cpuMicroseconds, \.diskReadBytes, \.diskWrittenBytes, \.networkInBytes,
            \.networkOutBytes, \.mainCalls, \.fromMainBytes, \.cacheHitBytes, \.clientCalls,
            \.shadowCalls, \.fromClientBytes, \.toClientBytes,
        ]
    }

    /// All fields but the start, in the order in which a file has them.
    static var stored: [WritableKeyPath<HistorySample, Int>] {
        [\.endMS] + sums + [\.memoryBytes, \.touchedBytes, \.storedBytes]
    }

    /// Adds what was done in the time that follows.
    public mutating func merge(_ next: HistorySample) {
        for sum in Self.sums { self[keyPath: sum] += next[keyPath: sum] }
        endMS = next.endMS
        memoryBytes = max(memoryBytes, next.memoryBytes)
        touchedBytes = next.touchedBytes
        storedBytes = next.storedBytes
    }

    /// What was done between two readings, the earlier of which ended a sample at its ``endMS``.
    ///
    /// Time never goes back, whatever the clock does. What it leaps ahead, as when the machine slept, is
    /// not in the sample.
    func since(_ earlier: HistorySample) -> HistorySample {
        var sample = self
        for sum in Self.sums {
            sample[keyPath: sum] = max(0, self[keyPath: sum] - earlier[keyPath: sum])
        }
        sample.endMS = max(endMS, earlier.endMS + sample.servedMS)
        let start = sample.endMS - sample.servedMS
        sample.startMS = start - earlier.endMS < Self.leapMS ? earlier.endMS : start
        return sample
    }

    /// Two clocks differ by some milliseconds; more is a leap.
    private static let leapMS = 500
}
