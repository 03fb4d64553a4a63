import CLinux
import Foundation
import Glibc
import Synchronization

/// How a process ended.
public enum ExitStatus: Equatable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)

    /// The number a shell would give.
    public var code: Int32 {
        switch self {
        case .exited(let code): code
        case .killed(let signal): 128 + signal
        }
    }
}

/// A program started by a test, in a process group of its own. Its output goes to files. It does
/// not outlive the last reference, nor the test run, however that ends.
public final class ChildProcess: Sendable {
    public let id: Int32
    public let name: String
    private let folder: TemporaryDirectory
    private let status = Mutex<ExitStatus?>(nil)

    /// Starts a program.
    /// - Parameter program: a path, or a name that is looked for in `PATH`.
    /// - Parameter environment: added to the environment of the test.
    /// - Throws: ``MissingTool`` when there is no such program, `POSIXError` when it cannot start.
    public init(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:]
    ) throws {
        let path = try Tool.find(program)
        name = URL(fileURLWithPath: path).lastPathComponent
        folder = try TemporaryDirectory("rowfs-child")
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        id = try spawn(
            [path] + arguments, environment: variables.map { "\($0)=\($1)" },
            output: folder.path("output"), errors: folder.path("errors"))
        ChildReaper.shared.add(id)
    }

    deinit {
        guard poll() == nil else { return }
        Glibc.kill(-id, SIGKILL)
        var ignored: Int32 = 0
        waitpid(id, &ignored, 0)
        ChildReaper.shared.remove(id)
    }

    /// The file that takes its standard output.
    public var outputPath: String { folder.path("output") }
    /// What it has written to its standard output so far.
    public var output: String { text("output") }
    /// What it has written to its standard error so far.
    public var errors: String { text("errors") }
    public var isRunning: Bool { poll() == nil }

    /// Sends a signal to the process alone; nothing when it has ended.
    public func signal(_ number: Int32) {
        status.withLock { known in
            if known == nil { Glibc.kill(id, number) }
        }
    }

    /// Waits for its end.
    /// - Throws: ``TimedOut``; the process then still runs.
    public func exit(within limit: Duration) async throws -> ExitStatus {
        try await ROWTestKit.poll(for: "end of \(name)", within: limit) { poll() }
    }

    /// Asks it to end, kills it and its children when it does not, and waits.
    @discardableResult
    public func terminate(within limit: Duration = .seconds(20)) async throws -> ExitStatus {
        signal(SIGTERM)
        do {
            return try await exit(within: limit)
        } catch is TimedOut {
            return try await kill()
        }
    }

    /// Kills it and its children, and waits.
    @discardableResult
    public func kill() async throws -> ExitStatus {
        status.withLock { known in
            if known == nil { _ = Glibc.kill(-id, SIGKILL) }
        }
        return try await exit(within: .seconds(20))
    }

    private func poll() -> ExitStatus? {
        status.withLock { known in
            if let known { return known }
            var word: Int32 = 0
            guard waitpid(id, &word, WNOHANG) == id else { return nil }
            let signal = word & 0x7f
            let ended: ExitStatus =
                signal == 0 ? .exited((word >> 8) & 0xff) : .killed(signal: signal)
            known = ended
            ChildReaper.shared.remove(id)
            return ended
        }
    }

    private func text(_ file: String) -> String {
        let bytes = (try? Data(contentsOf: URL(fileURLWithPath: folder.path(file)))) ?? Data()
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Starts a program as the leader of a new process group.
/// - Parameter input: a descriptor to read; `/dev/null` when nil.
func spawn(
    _ arguments: [String], environment: [String], input: Int32? = nil, output: String,
    errors: String
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
        posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    let create = O_WRONLY | O_CREAT | O_APPEND
    posix_spawn_file_actions_addopen(&actions, 1, output, create, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errors, create, 0o600)
    clinux_spawn_close_others(&actions)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setpgroup(&attributes, 0)
    // The calling thread may be one of Dispatch's, which block every signal.
    var nothing = sigset_t()
    sigemptyset(&nothing)
    posix_spawnattr_setsigmask(&attributes, &nothing)
    posix_spawnattr_setflags(
        &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))

    var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var variablePointers: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { (argumentPointers + variablePointers).forEach { free($0) } }
    var id: pid_t = 0
    let code = posix_spawn(
        &id, arguments[0], &actions, &attributes, &argumentPointers, &variablePointers)
    guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
    return id
}
