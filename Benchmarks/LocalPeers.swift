import Foundation
import Glibc
import ROWTestKit

/// A program that shows the files of a directory, and keeps what is written to them elsewhere.
protocol LocalPeer: AnyObject {
    var peer: Peer { get }
    /// Whether reads are to go past the page cache, or it would be all that is measured.
    var readsDirectly: Bool { get }

    /// Makes a file of the image appear.
    /// - Returns: where.
    func show(_ name: String) async throws -> String

    /// What it keeps of a file's changes.
    func storedBytes(_ name: String) async throws -> Int

    /// Renames a directory of the image; nil when it has none.
    func rename(_ name: String, to other: String) throws -> Double?

    func stop() async throws
}

/// A program that was to serve has ended.
struct ProgramEnded: Error, CustomStringConvertible {
    let name: String
    let errors: String

    var description: String { "\(name) has ended: \(errors)" }
}

/// The kernel's overlayfs, or fuse-overlayfs: a file that is opened to be written is copied first.
final class OverlayPeer: LocalPeer {
    let peer: Peer
    let readsDirectly = false
    private let root: String
    private let upper: String

    /// - Parameter disk: takes the changes.
    init(_ peer: Peer, image: String, disk: LoopDisk) async throws {
        self.peer = peer
        root = try disk.directory("\(peer.rawValue)/merged")
        upper = try disk.directory("\(peer.rawValue)/upper")
        let work = try disk.directory("\(peer.rawValue)/work")
        let options = "lowerdir=\(image),upperdir=\(upper),workdir=\(work)"
        if peer == .fuseOverlayfs {
            try await run(DebianTool.fuseOverlayfs.name, "-o", options, root)
        } else {
            try await run("mount", "-t", "overlay", "overlay", "-o", options, root)
        }
    }

    func show(_ name: String) async throws -> String { "\(root)/\(name)" }

    func storedBytes(_ name: String) async throws -> Int {
        try await allocatedBytes("\(upper)/\(name)")
    }

    func rename(_ name: String, to other: String) throws -> Double? {
        let begin = now()
        guard Glibc.rename("\(root)/\(name)", "\(root)/\(other)") == 0 else { throw failure() }
        return now() - begin
    }

    func stop() async throws { try await run("umount", root) }
}

/// qcow2 with the image's file as its backing file, shown as a file by FUSE.
final class Qcow2Peer: LocalPeer {
    let peer = Peer.qcow2
    let readsDirectly = true
    private let image: String
    private let folder: String
    private var servers: [String: ChildProcess] = [:]

    init(image: String, disk: LoopDisk) throws {
        self.image = image
        folder = try disk.directory(peer.rawValue)
    }

    func show(_ name: String) async throws -> String {
        let shown = "\(folder)/\(name)"
        guard servers[name] == nil else { return shown }
        let file = shown + ".qcow2"
        try await run(
            DebianTool.qemuImg.name, "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
            "\(image)/\(name)", file)
        try Data().write(to: URL(fileURLWithPath: shown))
        let server = try ChildProcess(
            DebianTool.qemuStorage.name,
            [
                "--blockdev", "driver=file,node-name=file,filename=\(file)",
                "--blockdev", "driver=qcow2,node-name=disk,file=file",
                "--export", "type=fuse,id=export,node-name=disk,mountpoint=\(shown),writable=on",
            ])
        servers[name] = server
        let size = try Self.size(of: "\(image)/\(name)")
        try await poll(for: "file of qemu-storage-daemon", within: .seconds(20)) {
            guard server.isRunning else {
                throw ProgramEnded(name: server.name, errors: server.errors)
            }
            return try Self.size(of: shown) == size ? () : nil
        }
        return shown
    }

    private static func size(of path: String) throws -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure() }
        return Int(status.st_size)
    }

    func storedBytes(_ name: String) async throws -> Int {
        try await allocatedBytes("\(folder)/\(name).qcow2")
    }

    func rename(_ name: String, to other: String) throws -> Double? { nil }

    func stop() async throws {
        for server in servers.values { try await server.terminate() }
        servers = [:]
    }
}
