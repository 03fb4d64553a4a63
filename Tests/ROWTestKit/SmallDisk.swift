import Foundation
import Glibc

/// A file system of a few megabytes in memory. It is mounted where only processes see it that are
/// started by ``wrapper``: it goes with the process that holds it, however a test run ends. Needs root.
public final class SmallDisk: Sendable {
    /// Where it is for those processes.
    public let path: String
    private let folder: TemporaryDirectory
    private let holder: ChildProcess

    /// Mounts one.
    /// - Throws: ``ToolFailure`` where mounting is not permitted.
    public static func make(bytes: Int) async throws -> SmallDisk {
        let folder = try TemporaryDirectory("rowfs-disk")
        let holder = try ChildProcess(
            "unshare",
            [
                "--mount", "/bin/sh", "-c",
                "mount -t tmpfs -o size=$1 small \"$2\" && echo mounted && exec sleep infinity",
                "sh", "\(bytes)", folder.path,
            ])
        try await poll(for: "mount of a small file system", within: .seconds(20)) {
            let isRunning = holder.isRunning
            if holder.output == "mounted\n" { return () as Void? }
            if isRunning { return nil }
            let result = Tool.Result(
                status: try await holder.exit(within: .zero), output: "", errors: holder.errors)
            throw ToolFailure(command: "unshare --mount mount -t tmpfs", result: result)
        }
        return SmallDisk(folder: folder, holder: holder)
    }

    private init(folder: TemporaryDirectory, holder: ChildProcess) {
        self.folder = folder
        self.holder = holder
        path = folder.path
    }

    /// The command that another one is put behind.
    public var wrapper: [String] { ["nsenter", "--target", "\(holder.id)", "--mount"] }

    public var freeBytes: Int {
        get throws {
            var status = statvfs()
            guard statvfs(path(""), &status) == 0 else { throw POSIXError(.EIO) }
            return Int(status.f_bavail) * Int(status.f_frsize)
        }
    }

    /// Takes all space that is left, whoever else is taking some.
    public func fill() throws {
        let file = open(path("filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw POSIXError(.EIO) }
        defer { close(file) }
        for _ in 0..<1000 {
            let bytes = try freeBytes
            if bytes == 0 { return }
            let code = posix_fallocate(file, lseek(file, 0, SEEK_END), bytes)
            // Another was faster.
            guard code == 0 || code == ENOSPC else { throw POSIXError(.EIO) }
        }
        throw POSIXError(.ENOSPC)
    }

    /// Gives back what ``fill()`` took.
    public func unfill() throws {
        guard unlink(path("filler")) == 0 else { throw POSIXError(.ENOENT) }
    }

    /// A path on the disk, as this process reaches it.
    public func path(_ name: String) -> String { "/proc/\(holder.id)/root\(path)/\(name)" }
}
