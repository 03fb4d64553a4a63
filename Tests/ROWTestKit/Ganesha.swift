import Foundation
import Glibc
import Synchronization

/// An unmodified NFS server, nfs-ganesha, that exports a directory on 127.0.0.1. Needs root.
public final class Ganesha: Sendable {
    /// Whose identity the server believes (`Squash` of ganesha's configuration).
    public enum Squash: String, Sendable {
        case none, root, all
    }

    public let directory: String
    public let export: NFSExport
    private let arguments: [String]
    private let state: TemporaryDirectory
    private let running: Mutex<Running>

    private struct Running {
        var child: ChildProcess
        /// Its write verifier. The server would take the second in which it starts, and twice the same.
        var epoch: Int
    }

    /// Starts a server and waits until it answers.
    /// - Parameter transferBytes: the largest READ and WRITE.
    /// - Parameter privilegedPorts: refuses clients whose port is not a reserved one.
    /// - Throws: ``MissingTool``, ``ToolFailure`` with the server's log.
    public static func start(
        directory: String, readOnly: Bool = true, squash: Squash = .none,
        transferBytes: Int = 1 << 20, privilegedPorts: Bool = false
    ) async throws -> Ganesha {
        _ = try Tool.find("ganesha.nfsd")
        let state = try TemporaryDirectory("rowfs-ganesha")
        let export = NFSExport(
            port: LoopbackPort.free(), mountPort: LoopbackPort.free(), path: "/export")
        var arguments = ["--port", "\(export.port)", "--mount-port", "\(export.mountPort)"]
        arguments += ["--transfer", "\(transferBytes)", "--state", state.path]
        if !readOnly { arguments.append("--writable") }
        if squash != .none { arguments += ["--squash", squash.rawValue] }
        if privilegedPorts { arguments.append("--privileged-ports") }
        arguments.append(directory)
        let running = try await Self.launch(arguments, epoch: 1, state: state, export: export)
        return Ganesha(
            directory: directory, export: export, arguments: arguments, state: state,
            running: running)
    }

    private init(
        directory: String, export: NFSExport, arguments: [String], state: TemporaryDirectory,
        running: Running
    ) {
        self.directory = directory
        self.export = export
        self.arguments = arguments
        self.state = state
        self.running = Mutex(running)
    }

    /// The process, for the load driver's accounting of processor time.
    public var processID: Int32 { current.id }

    /// Ends the server as an administrator would.
    public func stop() async throws { try await current.terminate() }

    /// Ends the server without warning.
    public func kill() async throws { try await current.kill() }

    /// Makes it silent: connections stay, nothing is answered.
    public func pause() { current.signal(SIGSTOP) }

    public func resume() { current.signal(SIGCONT) }

    /// Starts it again on the same ports after ``stop()`` or ``kill()``, with another write verifier.
    public func restart() async throws {
        let epoch = running.withLock { $0.epoch } + 1
        let fresh = try await Self.launch(arguments, epoch: epoch, state: state, export: export)
        running.withLock { $0 = fresh }
    }

    private var current: ChildProcess { running.withLock { $0.child } }

    private static func launch(
        _ arguments: [String], epoch: Int, state: TemporaryDirectory, export: NFSExport
    ) async throws -> Running {
        let child = try ChildProcess(
            ProjectPaths.labScript("ganesha"), ["--epoch", "\(epoch)"] + arguments)
        try await poll(for: "answer of nfs-ganesha", within: .seconds(30)) {
            guard child.isRunning else {
                let log = try? String(contentsOfFile: state.path("log"), encoding: .utf8)
                let result = Tool.Result(
                    status: try await child.exit(within: .zero), output: child.output,
                    errors: child.errors + (log ?? ""))
                throw ToolFailure(command: "nfs-ganesha", result: result)
            }
            let ready = LoopbackPort.isOpen(export.port) && LoopbackPort.isOpen(export.mountPort)
            return ready ? () : nil
        }
        return Running(child: child, epoch: epoch)
    }
}
