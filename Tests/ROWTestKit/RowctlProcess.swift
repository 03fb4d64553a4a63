import Foundation
import Glibc
import Synchronization

/// The project's own program, as this build made it, serving an image or a directory.
public final class RowctlProcess: Sendable {
    /// Where the ready line says that it serves.
    public let export: NFSExport
    private let arguments: [String]
    private let environment: [String: String]
    private let wrapper: [String]
    private let child: Mutex<ChildProcess>

    /// Starts `rowctl` with a verb that serves, and waits for its ready line.
    /// - Parameter arguments: from the verb on; without `--listen` it chooses a port itself.
    /// - Parameter wrapper: a command that becomes the one behind it, such as `nohup`.
    /// - Throws: ``ToolFailure`` when it ends instead.
    public static func start(
        _ arguments: [String], environment: [String: String] = [:], by wrapper: [String] = []
    ) async throws -> RowctlProcess {
        let (child, export) = try await launch(arguments, environment: environment, by: wrapper)
        return RowctlProcess(
            export: export, arguments: arguments, environment: environment, wrapper: wrapper,
            child: child)
    }

    /// Runs a verb that ends.
    /// - Returns: its standard output.
    @discardableResult
    public static func run(_ arguments: [String]) async throws -> String {
        try await runTool(try ProjectPaths.builtProgram("rowctl"), arguments)
    }

    private init(
        export: NFSExport, arguments: [String], environment: [String: String], wrapper: [String],
        child: ChildProcess
    ) {
        self.export = export
        self.arguments = arguments
        self.environment = environment
        self.wrapper = wrapper
        self.child = Mutex(child)
    }

    public var processID: Int32 { current.id }
    /// What it has written to its standard error since its last start.
    public var errors: String { current.errors }

    /// Ends it by SIGTERM.
    @discardableResult
    public func terminate() async throws -> ExitStatus { try await current.terminate() }

    /// Sends it signals, which it gets all at once.
    /// - Returns: how it ended, which it must do.
    public func end(by signals: [Int32]) async throws -> ExitStatus {
        current.signal(SIGSTOP)
        for signal in signals { current.signal(signal) }
        current.signal(SIGCONT)
        return try await current.exit(within: .seconds(20))
    }

    /// Sends it a signal.
    public func signal(_ number: Int32) { current.signal(number) }

    /// Ends it by SIGKILL.
    public func kill() async throws { try await current.kill() }

    /// Starts it again with the same arguments on the same port, so that mounts live on.
    /// - Throws: ``ToolFailure`` also when it serves elsewhere than before.
    public func restart() async throws {
        var again = arguments
        if !again.contains("--listen") { again += ["--listen", "127.0.0.1:\(export.port)"] }
        // A port that it was given by chance may be that of somebody's connection for a moment.
        let (fresh, place) = try await poll(for: "port of before", within: .seconds(60)) {
            do {
                return try await Self.launch(again, environment: environment, by: wrapper)
            } catch let failure as ToolFailure
                where failure.result.errors.contains("Address already in use")
            {
                return nil
            }
        }
        guard place == export else {
            let result = Tool.Result(
                status: try await fresh.kill(), output: fresh.output, errors: "not where it was")
            throw ToolFailure(command: "rowctl", result: result)
        }
        child.withLock { $0 = fresh }
    }

    private var current: ChildProcess { child.withLock { $0 } }

    private static func launch(
        _ arguments: [String], environment: [String: String], by wrapper: [String]
    ) async throws -> (ChildProcess, NFSExport) {
        let words = wrapper + [try ProjectPaths.builtProgram("rowctl")] + arguments
        let child = try ChildProcess(
            words[0], Array(words.dropFirst()), environment: environment)
        let export = try await poll(for: "ready line of rowctl", within: .seconds(30)) {
            // Looked at before the output: what it wrote before its end is then all there.
            let running = child.isRunning
            if let export = readyLine(in: child.output) { return export as NFSExport? }
            if running { return nil }
            let result = Tool.Result(
                status: try await child.exit(within: .zero), output: child.output,
                errors: child.errors)
            throw ToolFailure(
                command: "rowctl \(arguments.joined(separator: " "))", result: result)
        }
        return (child, export)
    }

    /// `ready: mount -t nfs -o vers=3,proto=tcp,nolock,port=P,mountport=M HOST:/NAME DIR`
    static func readyLine(in output: String) -> NFSExport? {
        for line in output.split(separator: "\n") where line.hasPrefix("ready: ") {
            let words = line.split(separator: " ")
            guard let flag = words.firstIndex(of: "-o"), flag + 2 < words.count else { continue }
            var numbers: [Substring: Int] = [:]
            for option in words[flag + 1].split(separator: ",") {
                let pair = option.split(separator: "=", maxSplits: 1)
                if pair.count == 2 { numbers[pair[0]] = Int(pair[1]) }
            }
            let place = words[flag + 2]
            guard let port = numbers["port"], let colon = place.firstIndex(of: ":") else {
                continue
            }
            return NFSExport(
                port: port, mountPort: numbers["mountport"] ?? port,
                path: String(place[colon...].dropFirst()))
        }
        return nil
    }
}
