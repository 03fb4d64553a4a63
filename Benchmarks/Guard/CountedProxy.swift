import Foundation
import ROWTestKit

/// A proxy under callgrind.
final class CountedProxy {
    private let proxy: RowctlProcess
    private let callgrind: Callgrind
    /// Holds the proxy's state, and what callgrind writes.
    private let folder: TemporaryDirectory
    private var dumps = 0

    var server: Server { Server(proxy) }

    /// - Parameter source: of the image.
    init(of source: String) async throws {
        folder = try TemporaryDirectory("rowfs-guard")
        callgrind = Callgrind(in: folder)
        // The first word behind is the program of this build, which callgrind runs a copy of.
        let words = try await callgrind.command("rowctl").map { "'\($0)'" }.joined(separator: " ")
        proxy = try await RowctlProcess.start(
            ["serve", source, "--session", "guard", "--state", folder.path("state")],
            by: ["/bin/sh", "-c", #"shift; exec \#(words) "$@""#, "callgrind"])
    }

    func stop() async throws { try await proxy.terminate() }

    /// What so many calls take, with the client's coming and going.
    func count(_ load: Load, calls: Int) async throws -> Callgrind.Count {
        let before = try sockets()
        try await load.run(on: server, calls: calls)
        try await poll(for: "end of the client's connections", within: .seconds(30)) {
            try sockets() <= before ? () : nil
        }
        try await runTool("callgrind_control", ["--dump", "\(proxy.processID)"])
        dumps += 1
        return try callgrind.count(dumps)
    }

    private func sockets() throws -> Int {
        let folder = "/proc/\(proxy.processID)/fd"
        let files = FileManager.default
        return try files.contentsOfDirectory(atPath: folder).count { name in
            // One that is closed meanwhile is none.
            let target = try? files.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
            return target?.hasPrefix("socket:") ?? false
        }
    }
}
