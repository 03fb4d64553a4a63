import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

/// `rowctl upgrade` as people use it, from a directory to another and to an NFS server.
@Suite struct UpgradeVerbTests {
    private let folder: TemporaryDirectory
    private var old: String { folder.path("v1") }
    private var new: String { folder.path("v2") }

    init() throws {
        folder = try TemporaryDirectory("rowfs-upgrade")
        for version in ["v1", "v2"] {
            _ = try folder.directory(version)
            _ = try folder.file("\(version)/both", "both of \(version)")
            _ = try folder.file("\(version)/theirs", "theirs of \(version)")
        }
        _ = try folder.file("v1/same", "text of the image")
        // With its time, as whoever makes a new version of an image does.
        try FileManager.default.copyItem(atPath: old + "/same", toPath: new + "/same")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1_000_000)],
            ofItemAtPath: old + "/same")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1_000_000)],
            ofItemAtPath: new + "/same")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1_000_001)],
            ofItemAtPath: new + "/both")
    }

    private func run(_ arguments: String...) async throws -> Tool.Result {
        try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"),
            arguments + ["--state", folder.path("state")])
    }

    private func serve(_ image: String) async throws -> (RowctlProcess, NFSClient) {
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "s", "--state", folder.path("state"),
        ])
        return (proxy, try await NFSClient.connect(NFSURL(proxy.export.url)))
    }

    private func text(_ client: NFSClient, _ name: String) async throws -> String {
        let found = try await client.lookup(NFS3.Filename(name), in: client.rootHandle)
        return try await client.text(of: found.success.object)
    }

    private func change(_ names: [String]) async throws {
        let (proxy, client) = try await serve(old)
        for name in names { _ = try await client.create(name, "MINE") }
        let refused = try await run("upgrade", "s", "--to", new)
        #expect(refused.status == .exited(1))
        #expect(refused.errors.contains("is served now"))
        await client.close()
        try await proxy.terminate()
    }

    @Test func aSessionIsUpgradedUndoneAndServed() async throws {
        try await change(["same", "both"])
        let dry = try await run("upgrade", "s", "--to", new, "--dry-run")
        #expect(dry.status == .exited(2) && dry.output.contains("would be put onto"))
        let done = try await run("upgrade", "s", "--to", new)
        #expect(done.status == .exited(2), "\(done.errors)")
        #expect(
            done.output.contains(
                "conflict /both: changed in the session and in main; main's is /both.main"))
        #expect(done.output.contains("`rowctl rollback s before-upgrade-1` undoes it"))

        let wrong = try await run("serve", old, "--session", "s")
        #expect(wrong.status == .exited(1))
        #expect(wrong.errors.contains("stands on the image \(new)"))
        #expect(wrong.errors.contains("rowctl upgrade"))
        let diff = try await run("diff", "s")
        #expect(diff.output.contains("changed /same: content"))
        #expect(diff.output.contains("/both.main"))
        #expect(try await run("fsck", "s").output == "session s: clean\n")
        #expect(try await run("ls").output.contains(new))

        let (proxy, client) = try await serve(new)
        #expect(try await text(client, "same") == "MINE of the image")
        #expect(try await text(client, "both") == "MINE of v1")
        #expect(try await text(client, "both.main") == "both of v2")
        #expect(try await text(client, "theirs") == "theirs of v2")
        let early = try await run("rollback", "s", "before-upgrade-1")
        #expect(early.status == .exited(1) && early.errors.contains("stands on another image"))
        await client.close()
        try await proxy.terminate()
        let written = try await run("commit", "s", folder.path("out"))
        #expect(written.status == .exited(0), "\(written.errors)")
        #expect(
            try String(contentsOfFile: folder.path("out") + "/same", encoding: .utf8)
                == "MINE of the image")

        #expect(try await run("rollback", "s", "before-upgrade-1").status == .exited(0))
        // Files that only the upgraded session had go when it is opened.
        #expect(try await run("fsck", "s").status == .exited(0))
        let (again, other) = try await serve(old)
        #expect(try await text(other, "both") == "MINE of v1")
        #expect(try await text(other, "theirs") == "theirs of v1")
        await other.close()
        try await again.terminate()
    }

    @Test func theNewVersionCanBeOnAServer() async throws {
        try await change(["same"])
        let server = try await Ganesha.start(directory: new)
        let done = try await run("upgrade", "s", "--to", server.export.url, "--json")
        #expect(done.status == .exited(0), "\(done.errors)")
        let json = try #require(
            JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any])
        #expect(json["files"] as? Int == 1 && (json["conflicts"] as? [Any])?.isEmpty == true)
        let (proxy, client) = try await serve(server.export.url)
        #expect(try await text(client, "same") == "MINE of the image")
        #expect(try await text(client, "theirs") == "theirs of v2")
        await client.close()
        try await proxy.terminate()
        try await server.stop()
    }

    @Test func whatCannotBeIsRefused() async throws {
        try await change([])
        for (arguments, words) in [
            (["nobody", "--to", new], "no session 'nobody'"),
            (["s", "--to", old], "stands on \(old) already"),
            (["s", "--to", folder.path("none")], "neither a directory nor"),
            (["s"], "--to"),
        ] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"),
                ["upgrade"] + arguments + ["--state", folder.path("state")])
            #expect(result.status != .exited(0))
            #expect(result.errors.contains(words), "\(result.errors)")
        }
    }
}
