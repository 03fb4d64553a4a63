import ROWTestKit

/// A file system of our own, ext4, in a file below `TMPDIR`. Not all file systems wait for the disk when they
/// are asked to (ext4 without a journal does not); this one does.
final class LoopDisk {
    private let folder: TemporaryDirectory
    /// Where it is mounted: for this run alone, as long as it has a network namespace of its own.
    let path: String

    /// - Parameter bytes: what it holds at most; it takes only what is in it.
    init(bytes: Int) async throws {
        folder = try TemporaryDirectory("rowfs-bench")
        path = try folder.directory("disk")
        try TestFile.makeSparse(folder.path("ext4"), bytes: bytes)
        try await run("mkfs.ext4", "-q", folder.path("ext4"))
        try await run("mount", "-o", "loop", folder.path("ext4"), path)
    }

    func unmount() async throws { try await run("umount", path) }

    /// Makes a directory and gives its path.
    func directory(_ name: String) throws -> String { try folder.directory("disk/\(name)") }

    func path(_ name: String) -> String { "\(path)/\(name)" }
}

/// Runs a program that must succeed.
func run(_ tool: String, _ arguments: String...) async throws {
    try await runTool(try Tool.find(tool), arguments, within: .seconds(300))
}
