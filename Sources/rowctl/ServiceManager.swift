import CLinux
import Foundation
import Glibc

/// The service manager that started this process, if one did (sd_notify(3)): it is told how things stand.
struct ServiceManager: Sendable {
    private let socket: String?
    /// It takes the process for hung when it hears nothing for so long.
    let watchdog: Duration?
    /// What it kept of a process before this one (sd_listen_fds(3)).
    let inherited: [CInt]

    /// Reads the variables that it has set, and removes them: they are not for children.
    init() {
        let variables = ProcessInfo.processInfo.environment
        socket = variables["NOTIFY_SOCKET"]
        let isMeant = variables["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        watchdog =
            isMeant
            ? variables["WATCHDOG_USEC"].flatMap { Int64($0) }.map { .microseconds($0) } : nil
        let isHeir = variables["LISTEN_PID"] == "\(getpid())"
        let count = isHeir ? variables["LISTEN_FDS"].flatMap { UInt16($0) } ?? 0 : 0
        inherited = (0..<count).map { Self.firstInherited + CInt($0) }
        for name in [
            "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
            "LISTEN_FDNAMES",
        ] {
            unsetenv(name)
        }
    }

    /// SD_LISTEN_FDS_START
    private static let firstInherited: CInt = 3

    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }

    func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        tell("RELOADING=1\nMONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)")
    }

    func stopping() { tell("STOPPING=1") }

    func isAlive() { tell("WATCHDOG=1") }

    /// Has it keep a copy of a descriptor for a process after this one.
    func keep(_ descriptor: CInt, _ name: String) {
        tell("FDSTORE=1\nFDNAME=\(name)", descriptor)
    }

    func drop(_ name: String) { tell("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    private func tell(_ message: String, _ descriptor: CInt = -1) {
        guard let socket else { return }
        _ = clinux_notify(socket, message, descriptor)
    }
}
