internal import CLinux
internal import Foundation
internal import NIOCore
internal import Supervision
internal import Synchronization
internal import SystemPackage

/// A dnsmasq that runs as long as it is wanted: one that ends is started again, and none outlives this process.
///
/// A thread of its own starts it and waits for what it says and for its end, since the kernel ends a child with
/// the thread that started it.
public final class Dnsmasq: Sendable {
    public enum Event: Sendable, Hashable {
        /// A line of its log, without control characters.
        case line(String)
        /// What that line says of a machine, after the line itself.
        case boot(BootEvent)
        /// It ended by itself, and is started again after a while.
        case ended(reason: String, restartsAfter: Duration)
        /// It listens again.
        case restarted
    }

    private enum State {
        case idle
        case running([CheckedContinuation<Void, Never>])
        case ended
    }

    private let configuration: String
    private let configurationPath: String
    private let tftpRoot: String
    private let command: [String]
    private let patienceForPorts: Duration
    private let onEvent: @Sendable (Event) -> Void
    private let state = Mutex(State.idle)
    /// Readable when it is to stop. The other end wakes the thread.
    private let stopRequested: SystemPackage.FileDescriptor
    private let stopRequests: SystemPackage.FileDescriptor

    /// Makes everything ready to start it.
    /// - Parameter runDirectory: takes the configuration file; made where there is none.
    /// - Parameter program: a path; looked for in `PATH` and `/usr/sbin` when nil.
    /// - Parameter launcher: a command that becomes what follows it, such as `ip netns exec NAME`.
    /// - Parameter onEvent: called on the supervisor's thread; must not block.
    /// - Throws: ``NetbootError``: `missingProgram`, `io`.
    public convenience init(
        _ settings: BootSettings, runDirectory: String, program: String? = nil,
        launcher: [String] = [], onEvent: @escaping @Sendable (Event) -> Void
    ) throws(NetbootError) {
        try self.init(
            configuration: DnsmasqConfiguration(settings).text, tftpRoot: settings.tftpRoot,
            runDirectory: runDirectory, program: program, launcher: launcher, onEvent: onEvent)
    }

    init(
        configuration: String, tftpRoot: String, runDirectory: String, program: String? = nil,
        launcher: [String] = [], patienceForPorts: Duration = .seconds(5),
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(NetbootError) {
        self.patienceForPorts = patienceForPorts
        self.configuration = configuration
        self.tftpRoot = tftpRoot
        self.onEvent = onEvent
        configurationPath = "\(runDirectory)/dnsmasq.conf"
        let code = clinux_mkdir_parents(runDirectory, 0o700)
        guard code == 0 else {
            throw NetbootError(
                .io,
                "cannot make the directory \(runDirectory): \(String(cString: strerror(-code)))")
        }
        let dnsmasq = [
            try Self.find(program ?? "dnsmasq"), "--keep-in-foreground",
            "--conf-file=\(configurationPath)", "--pid-file",
        ]
        if let first = launcher.first {
            command = [try Self.find(first)] + launcher.dropFirst() + dnsmasq
        } else {
            command = dnsmasq
        }
        do {
            (stopRequested, stopRequests) = try SystemPackage.FileDescriptor.pipe()
        } catch {
            throw NetbootError(.io, "cannot watch over dnsmasq: \(error)")
        }
        for end in [stopRequested, stopRequests] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        try? stopRequested.close()
        try? stopRequests.close()
    }

    /// Starts it, once, and returns when it listens. It then stays until ``stop()``.
    ///
    /// A predecessor that is just ending may still have the ports: they are waited for, 5 s.
    /// - Throws: ``NetbootError``: `addressInUse`, `notStarted` with dnsmasq's own words, `io`.
    public func start() async throws {
        state.withLock { state in
            guard case .idle = state else { preconditionFailure("started twice") }
            state = .running([])
        }
        do {
            try AtomicFile.write(
                ByteBuffer(string: configuration), to: configurationPath, mode: 0o600)
        } catch {
            state.withLock { $0 = .ended }
            throw error
        }
        try await withCheckedThrowingContinuation { started in
            Thread.detachNewThread { [self] in
                supervise { started.resume(with: $0) }
                let waiting: [CheckedContinuation<Void, Never>] = state.withLock { state in
                    guard case .running(let waiting) = state else { return [] }
                    state = .ended
                    return waiting
                }
                for waiter in waiting { waiter.resume() }
            }
        }
    }

    /// Ends it, by force after 5 s, and returns when it has gone.
    public func stop() async {
        await withCheckedContinuation { waiter in
            let isRunning = state.withLock { state in
                guard case .running(let others) = state else { return false }
                state = .running(others + [waiter])
                return true
            }
            guard isRunning else { return waiter.resume() }
            _ = try? stopRequests.writeAll([0])
        }
    }

    // MARK: The supervisor's thread

    private static let patienceForReadiness = Duration.seconds(30)
    private static let patienceForEnd = Duration.seconds(5)
    private static let pauseMinimum = Duration.milliseconds(200)
    private static let pauseMaximum = Duration.seconds(10)
    private static let steadyAfter = Duration.seconds(60)

    /// Runs it again and again until it is stopped, or does not start at all.
    /// - Parameter started: called once.
    private func supervise(_ started: (Result<Void, any Error>) -> Void) {
        let firstAttempt = ContinuousClock.now
        var hasStarted = false
        var pause = Self.pauseMinimum
        while true {
            let began = ContinuousClock.now
            let end = run {
                if hasStarted { return onEvent(.restarted) }
                hasStarted = true
                started(.success(()))
            }
            guard hasStarted else {
                let isWorthWaiting =
                    end.isAddressInUse && ContinuousClock.now - firstAttempt < patienceForPorts
                if !end.wasStopped, isWorthWaiting, !isStopRequested(within: .milliseconds(100)) {
                    continue
                }
                return started(.failure(end.failure))
            }
            if end.wasStopped { return }
            if ContinuousClock.now - began >= Self.steadyAfter { pause = Self.pauseMinimum }
            onEvent(.ended(reason: end.reason, restartsAfter: pause))
            if isStopRequested(within: pause) { return }
            pause = min(pause * 2, Self.pauseMaximum)
        }
    }

    /// Runs it once, to its end.
    private func run(onReady: () -> Void) -> DnsmasqEnd {
        var child: TiedProcess
        do {
            child = try TiedProcess(command)
        } catch {
            return DnsmasqEnd(reason: error.message)
        }
        var lastLines: [String] = []
        var isReady = false
        var wasStopped = false
        var hasOutput = true
        var killedAt: ContinuousClock.Instant? = .now + Self.patienceForReadiness
        func take(_ line: String) {
            lastLines = lastLines.suffix(4) + [line]
            tell(line)
            // Said when everything has been set up.
            guard !isReady, line.contains("TFTP root is ") else { return }
            isReady = true
            if !wasStopped { killedAt = nil }
            onReady()
        }
        while true {
            var waiting = [
                pollfd(
                    fd: wasStopped ? -1 : stopRequested.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hasOutput ? child.output : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: child.process, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&waiting, nfds_t(waiting.count), killedAt.map(Self.milliseconds) ?? -1)
            if count < 0 { continue }
            if let time = killedAt, ContinuousClock.now >= time {
                killedAt = nil
                child.signal(SIGKILL)
            }
            if waiting[0].revents != 0 {
                wasStopped = true
                killedAt = .now + Self.patienceForEnd
                child.signal(SIGTERM)
            }
            if waiting[1].revents != 0 {
                let lines = child.readLines()
                hasOutput = lines != nil
                for line in lines ?? [] { take(line) }
            }
            if waiting[2].revents != 0 {
                let (lines, reason) = child.reap()
                for line in lines { take(line) }
                return DnsmasqEnd(reason: reason, lastLines: lastLines, wasStopped: wasStopped)
            }
        }
    }

    private func tell(_ line: String) {
        onEvent(.line(line))
        if let event = BootEvent(line, tftpRoot: tftpRoot) { onEvent(.boot(event)) }
    }

    private func isStopRequested(within limit: Duration) -> Bool {
        var waiting = pollfd(fd: stopRequested.rawValue, events: Int16(POLLIN), revents: 0)
        let end = ContinuousClock.now + limit
        while true {
            let count = poll(&waiting, 1, Self.milliseconds(end))
            if count > 0 { return true }
            if ContinuousClock.now >= end { return false }
        }
    }

    /// From now on, rounded up.
    private static func milliseconds(_ time: ContinuousClock.Instant) -> CInt {
        max(0, CInt((time - .now) / .milliseconds(1)) + 1)
    }

    /// The path of a program.
    private static func find(_ name: String) throws(NetbootError) -> String {
        let folders = (getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin") + ":/usr/sbin"
        let paths =
            name.contains("/")
            ? [name] : folders.split(separator: ":").map { "\($0)/\(name)" }
        guard let path = paths.first(where: { access($0, X_OK) == 0 }) else {
            throw NetbootError(
                .missingProgram,
                "there is no program \(name): install it ('apt install dnsmasq-base' has dnsmasq)")
        }
        return path
    }
}

/// How a run of dnsmasq ended.
struct DnsmasqEnd {
    let reason: String
    var lastLines: [String] = []
    var wasStopped = false

    var isAddressInUse: Bool { lastLines.contains { $0.contains("Address already in use") } }

    /// What is wrong when it never listened.
    var failure: NetbootError {
        if wasStopped { return NetbootError(.notStarted, "dnsmasq was stopped before it listened") }
        let words = lastLines.isEmpty ? reason : lastLines.joined(separator: "; ")
        guard isAddressInUse else {
            return NetbootError(.notStarted, "dnsmasq does not start: \(words)")
        }
        return NetbootError(
            .addressInUse,
            "dnsmasq does not start, because another program has its ports, 67 for DHCP and 69 for TFTP: "
                + "\(words). 'ss -lunp' shows which: often a dnsmasq of libvirt or of the system, a "
                + "DHCP server, or tftpd; stop it, or choose another interface")
    }
}
