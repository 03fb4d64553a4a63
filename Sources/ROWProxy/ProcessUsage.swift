import CLinux
import Glibc
import NFSClient
import SystemPackage

/// What this process has used of the machine, as the kernel counts it; 0 where it does not tell.
final class ProcessUsage {
    /// Held open: to be read again costs a microsecond or so.
    private let io = ProcessUsage.open("/proc/self/io")
    private let memory = ProcessUsage.open("/proc/self/statm")
    private let pageBytes = sysconf(Int32(_SC_PAGESIZE))

    deinit {
        for file in [io, memory] { try? file?.close() }
    }

    private static func open(_ path: FilePath) -> FileDescriptor? {
        try? FileDescriptor.open(path, .readOnly, options: .closeOnExec)
    }

    /// What was used since the process started, and the time now.
    func reading() -> HistorySample {
        var reading = HistorySample()
        reading.endMS = Self.nanoseconds(CLOCK_REALTIME) / 1_000_000
        reading.servedMS = Self.nanoseconds(CLOCK_MONOTONIC) / 1_000_000
        reading.cpuMicroseconds = Self.nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1000
        reading.networkInBytes = Traffic.received
        reading.networkOutBytes = Traffic.sent
        for line in Self.text(of: io).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let count = Int(words[1]) else { continue }
            if words[0] == "read_bytes:" { reading.diskReadBytes = count }
            if words[0] == "write_bytes:" { reading.diskWrittenBytes = count }
        }
        // Pages of the program, and those that are in memory.
        let pages = Self.text(of: memory).split(separator: " ").dropFirst().first.flatMap {
            Int($0)
        }
        reading.memoryBytes = (pages ?? 0) * pageBytes
        return reading
    }

    private static func text(of file: FileDescriptor?) -> String {
        guard let file else { return "" }
        return String(unsafeUninitializedCapacity: 512) { memory in
            max(0, clinux_pread(file.rawValue, memory.baseAddress!, memory.count, 0))
        }
    }

    private static func nanoseconds(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
