import CLinux
import Foundation
import Glibc

/// The service manager that started this process, if one did (sd_notify(3)): it is told how things stand.
struct ServiceManager: Sendable {
    private let socket: String?
    /// It takes the process for hung when it hears nothing for so long.
    let watchdog: Duration?

    /// Reads the variables that it has set, and removes them: they are not for children.
    init() {
        let variables = ProcessInfo.processInfo.environment
        socket = variables["NOTIFY_SOCKET"]
        let isMeant = variables["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        watchdog =
            isMeant
            ? variables["WATCHDOG_USEC"].flatMap { Int64($0) }.map { .microseconds($0) } : nil
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] { unsetenv(name) }
    }

    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }

    func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        tell("RELOADING=1\nMONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)")
    }

    func stopping() { tell("STOPPING=1") }

    func isAlive() { tell("WATCHDOG=1") }

    private func tell(_ message: String) {
        guard let socket else { return }
        _ = clinux_notify(socket, message)
    }
}
