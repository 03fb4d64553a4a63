import CLinux
import Foundation
import Glibc
import Synchronization

/// A program on a terminal of its own (a pseudoterminal), which is its controlling one.
public final class TerminalProcess: Sendable {
    private let child: pid_t
    /// The end that a person would sit at, and the program's, held open so that its modes outlive the program.
    private let person: Int32
    private let program: Int32
    private let shown = Mutex<[UInt8]>([])
    private let status = Mutex<Int32?>(nil)
    private let reader: Mutex<any DispatchSourceRead>

    /// - Parameter environment: added to that of the test, without its `NO_COLOR`.
    /// - Throws: `POSIXError` when there is no terminal to be had, or the program cannot start.
    public init(
        _ path: String, _ arguments: [String], rows: UInt16 = 24, columns: UInt16 = 80,
        environment: [String: String] = [:]
    ) throws {
        person = try Self.check(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
        var (unlocked, number): (Int32, UInt32) = (0, 0)
        _ = try Self.check(ioctl(person, Self.setLock, &unlocked))
        _ = try Self.check(ioctl(person, Self.getNumber, &number))
        let place = "/dev/pts/\(number)"
        program = try Self.check(open(place, O_RDWR | O_NOCTTY | O_CLOEXEC))
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = try Self.check(ioctl(person, UInt(TIOCSWINSZ), &size))
        var variables = ProcessInfo.processInfo.environment
        variables["NO_COLOR"] = nil
        variables.merge(["TERM": "xterm", "LC_ALL": "C.UTF-8"]) { $1 }
        variables.merge(environment) { $1 }
        child = try Self.start(path, arguments, variables, on: place)
        ChildReaper.shared.add(child)
        let person = person
        reader = Mutex(DispatchSource.makeReadSource(fileDescriptor: person, queue: .global()))
        reader.withLock { reader in
            reader.setEventHandler { [weak self] in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                let count = read(person, &buffer, buffer.count)
                if count > 0 { self?.shown.withLock { $0 += buffer[0..<count] } }
            }
            // Not before: what is read by then would be whoever's who has the number next.
            reader.setCancelHandler { close(person) }
            reader.resume()
        }
    }

    /// Ioctls that the importer does not see (asm-generic/ioctls.h).
    private static let setLock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430
    /// Of posix_spawn.
    private static let ownSession: Int16 = 0x80

    deinit {
        reader.withLock { $0.cancel() }
        if poll() == nil {
            Glibc.kill(-child, SIGKILL)
            var word: Int32 = 0
            waitpid(child, &word, 0)
            ChildReaper.shared.remove(child)
        }
        close(program)
    }

    private static func check(_ result: Int32) throws -> Int32 {
        guard result >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        return result
    }

    /// As the leader of a session: the terminal that it opens first is its own.
    private static func start(
        _ path: String, _ arguments: [String], _ variables: [String: String], on place: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, place, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        clinux_spawn_close_others(&actions)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The calling thread may be one of Dispatch's, which block every signal.
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        // Whoever runs tests in the background ignores some, which programs inherit.
        var usual = sigset_t()
        sigemptyset(&usual)
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTSTP] { sigaddset(&usual, number) }
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setflags(
            &attributes,
            Self.ownSession | Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var texts: [UnsafeMutablePointer<CChar>?] =
            variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + texts).forEach { free($0) } }
        var id: pid_t = 0
        let code = posix_spawn(&id, path, &actions, &attributes, &words, &texts)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
        return id
    }

    /// Everything that it has sent to its terminal so far.
    public var output: String { shown.withLock { String(decoding: $0, as: UTF8.self) } }

    public func type(_ text: String) { _ = write(person, text, text.utf8.count) }

    public func signal(_ number: Int32) { if poll() == nil { Glibc.kill(child, number) } }

    /// Gives its window another size.
    public func resize(rows: UInt16, columns: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(person, UInt(TIOCSWINSZ), &size)
    }

    /// Whether what is typed is shown, and read in lines.
    public var isCooked: Bool {
        var modes = termios()
        tcgetattr(program, &modes)
        return modes.c_lflag & tcflag_t(ICANON) != 0 && modes.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Whether a signal has stopped it, as ^Z does.
    public var isStopped: Bool {
        let text = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
        return text?.split(separator: ")").last?.hasPrefix(" T") == true
    }

    /// Waits for its end.
    /// - Throws: ``TimedOut``.
    public func exit(within limit: Duration = .seconds(30)) async throws -> ExitStatus {
        try await ROWTestKit.poll(for: "end of the program on a terminal", within: limit) { poll() }
    }

    private func poll() -> ExitStatus? {
        status.withLock { known in
            var word: Int32 = 0
            if known == nil, waitpid(child, &word, WNOHANG) == child {
                known = word
                ChildReaper.shared.remove(child)
            }
            return known.map {
                $0 & 0x7f == 0 ? .exited(($0 >> 8) & 0xff) : .killed(signal: $0 & 0x7f)
            }
        }
    }
}
