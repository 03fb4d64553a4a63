import Foundation

/// A small Linux guest under QEMU, whose kernel is the NFS client. It takes a few seconds to start.
///
/// A script finds these functions (see `scripts/lab/guest/functions`): `nfs_mount EXPORT PORT
/// MOUNTPORT DIR [OPTIONS]`, `host WORD...`, `as_user COMMAND`, `forget`, `fail MESSAGE`,
/// `tree DIR`, `rpc_counts MOUNTPOINT`.
public struct Guest: Sendable {
    /// What a script's `host WORD...` does: gets the words after the first, gives the text to
    /// print. An error makes the command fail.
    public typealias HostCommand = @Sendable (_ words: [String]) async throws -> String

    public struct Result: Sendable, CustomStringConvertible {
        public let exitCode: Int32
        /// Output and errors of the script.
        public let output: String
        /// What the host had to say: of a guest that ended badly, its kernel's last messages.
        public let diagnostics: String

        public var description: String {
            "guest script: exit code \(exitCode)\n\(output)\(diagnostics)"
        }
    }

    public var memoryMiB: Int
    public var limit: Duration

    public init(memoryMiB: Int = 512, limit: Duration = .seconds(240)) {
        self.memoryMiB = memoryMiB
        self.limit = limit
    }

    /// Runs a shell script as root in a fresh guest.
    /// - Parameter programs: programs of the host that the script needs, such as `sqlite3`.
    /// - Parameter files: files of the host to copy to `/files`.
    /// - Parameter disk: a disk image of the host, `/dev/vda` in the guest.
    /// - Parameter hostCommands: by the first word after `host`.
    /// - Throws: ``MissingTool``. A failure of the script is returned, not thrown.
    public func run(
        _ script: String, environment: [String: String] = [:], programs: [String] = [],
        files: [String] = [], disk: String? = nil, hostCommands: [String: HostCommand] = [:]
    ) async throws -> Result {
        try await start(
            script, environment: environment, programs: programs, files: files, disk: disk,
            hostCommands: hostCommands
        ).result()
    }

    /// The same, and does not wait for the script's end.
    public func start(
        _ script: String, environment: [String: String] = [:], programs: [String] = [],
        files: [String] = [], disk: String? = nil, hostCommands: [String: HostCommand] = [:]
    ) throws -> Running {
        _ = try Tool.find("qemu-system-x86_64")
        let folder = try TemporaryDirectory("rowfs-guest")
        let channel = try GuestChannel(path: folder.path("host"), commands: hostCommands)
        var arguments = ["--host-pipe", folder.path("host"), "--memory", "\(memoryMiB)"]
        arguments += ["--timeout", "\(limit.components.seconds)"]
        for (name, value) in environment { arguments += ["--env", "\(name)=\(value)"] }
        for program in programs { arguments += ["--program", try Tool.find(program)] }
        for file in files { arguments += ["--file", file] }
        if let disk { arguments += ["--disk", disk] }
        arguments.append(try folder.file("script", script))

        let child = try ChildProcess(ProjectPaths.labScript("guest-run"), arguments)
        // The first run of a machine downloads the kernel and builds the guest.
        return Running(
            child: child, folder: folder, answering: Task { try await channel.serve() },
            limit: limit + .seconds(180))
    }

    /// A guest at work.
    public final class Running: Sendable {
        /// Its output is the script's.
        public let child: ChildProcess
        private let folder: TemporaryDirectory
        private let answering: Task<Void, any Error>
        private let limit: Duration

        fileprivate init(
            child: ChildProcess, folder: TemporaryDirectory, answering: Task<Void, any Error>,
            limit: Duration
        ) {
            self.child = child
            self.folder = folder
            self.answering = answering
            self.limit = limit
        }

        deinit { answering.cancel() }

        /// Waits for the end of the script.
        public func result() async throws -> Result {
            let status = try await child.exit(within: limit)
            return Result(
                exitCode: status.code, output: child.output, diagnostics: child.errors)
        }
    }
}
