import Glibc
import Synchronization

/// How often this process has waited for a disk to have something on it. Only syncs of ROWCore and of
/// SQLite count.
public struct Syncs: Sendable, Hashable, Codable {
    /// Of files with data (fdatasync).
    public var data = 0
    /// Of directories (fsync).
    public var directories = 0
    /// Of SQLite's databases and journals.
    public var databases = 0

    public init() {}

    public var total: Int { data + directories + databases }

    /// What this process has done so far.
    public static var done: Syncs {
        var syncs = Syncs()
        syncs.data = counts.data.load(ordering: .relaxed)
        syncs.directories = counts.directories.load(ordering: .relaxed)
        syncs.databases = counts.databases.load(ordering: .relaxed)
        return syncs
    }

    /// Added to each sync, to measure what a slower disk would do; not for production. At first what the
    /// environment variable `ROWFS_SYNC_DELAY_MS` says.
    public static var delayMilliseconds: Int {
        get { delay.load(ordering: .relaxed) }
        set { delay.store(newValue, ordering: .relaxed) }
    }

    enum Kind { case data, directories, databases }

    private struct Counts: ~Copyable, Sendable {
        let data = Atomic<Int>(0)
        let directories = Atomic<Int>(0)
        let databases = Atomic<Int>(0)
    }

    private static let counts = Counts()
    private static let delay = Atomic<Int>(
        getenv("ROWFS_SYNC_DELAY_MS").flatMap { Int(String(cString: $0)) } ?? 0)

    /// Called before each sync.
    static func count(_ kind: Kind) {
        switch kind {
        case .data: counts.data.add(1, ordering: .relaxed)
        case .directories: counts.directories.add(1, ordering: .relaxed)
        case .databases: counts.databases.add(1, ordering: .relaxed)
        }
        let milliseconds = delayMilliseconds
        if milliseconds > 0 { usleep(UInt32(clamping: milliseconds * 1000)) }
    }
}
