import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// `rowctl snapshot`, `snapshots`, `rollback`, `clone` and `commit`, with a client at work and without.
@Suite struct SnapshotVerbTests {
    private struct Bench {
        let folder: TemporaryDirectory
        var state: String { folder.path("state") }
        var image: String { folder.path("image") }

        init() throws {
            folder = try TemporaryDirectory("rowfs-snapshot")
            _ = try folder.directory("image")
            _ = try folder.file("image/old", "text of the image")
        }

        @discardableResult
        func run(_ arguments: String...) async throws -> Tool.Result {
            try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments + ["--state", state])
        }

        @discardableResult
        func succeed(_ arguments: String...) async throws -> String {
            try await runTool(
                ProjectPaths.builtProgram("rowctl"), arguments + ["--state", state])
        }

        func serve(_ session: String) async throws -> (RowctlProcess, NFSClient) {
            let proxy = try await RowctlProcess.start([
                "serve", image, "--session", session, "--state", state,
            ])
            return (proxy, try await NFSClient.connect(NFSURL(proxy.export.url)))
        }
    }

    @Test func aClientSeesTheSnapshotAgainAfterARollback() async throws {
        let bench = try Bench()
        let (proxy, client) = try await bench.serve("alice")
        let kept = try await client.create("kept", "before")
        let said = try await bench.succeed("snapshot", "alice", "first")
        #expect(said.contains("'first'"))
        _ = try await client.create("kept", "AFTER")
        let late = try await client.create("late", "gone soon")
        let verifier = try await client.commit(kept, offset: 0, count: 0).success.verifier
        let before = try await client.getattr(kept).success.attributes.ctime
        try await bench.succeed("rollback", "alice", "first")
        #expect(try await client.text(of: kept) == "before")
        #expect(try await client.getattr(late).status == .stale)
        #expect(try await client.getattr(kept).success.attributes.ctime > before)
        #expect(try await client.commit(kept, offset: 0, count: 0).success.verifier != verifier)
        let again = try await client.create("late", "another")
        #expect(again != late)
        let status = try await bench.succeed("stat-session", "alice", "--json")
        #expect(status.contains("rolled back to the snapshot 'first'"))
        await client.close()
        try await proxy.terminate()
        let found = try await bench.run("fsck", "alice")
        #expect(found.output == "session alice: clean\n")
    }

    @Test func aCloneIsServedBesideItsOrigin() async throws {
        let bench = try Bench()
        let (proxy, client) = try await bench.serve("alice")
        _ = try await client.create("old", "CHANGED")
        try await bench.succeed("clone", "alice", "bob")
        let (guest, other) = try await bench.serve("bob")
        let name = NFS3.Filename("old")
        let mine = try await client.lookup(name, in: client.rootHandle).success
        let its = try await other.lookup(name, in: other.rootHandle).success
        #expect(mine.object != its.object)
        #expect(mine.attributes?.fileid == its.attributes?.fileid)
        #expect(mine.attributes?.fsid != its.attributes?.fsid)
        #expect(try await other.text(of: its.object) == "CHANGED the image")
        _ = try await other.create("old", "of bob")
        _ = try await client.create("old", "of alice")
        #expect(try await other.text(of: its.object) == "of bobD the image")
        #expect(try await client.text(of: mine.object) == "of alicethe image")
        await other.close()
        await client.close()
        try await guest.terminate()
        try await proxy.terminate()
    }

    @Test func snapshotsAreListedAndRemovedAndNamesAreChecked() async throws {
        let bench = try Bench()
        let (proxy, client) = try await bench.serve("alice")
        _ = try await client.create("one", "1")
        try await bench.succeed("snapshot", "alice", "a")
        await client.close()
        try await proxy.terminate()
        try await bench.succeed("snapshot", "alice", "b")
        try await bench.succeed("clone", "alice", "bob", "--snapshot", "a")
        let json = try await bench.succeed("snapshots", "alice", "--json")
        let listed = try #require(
            JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]])
        #expect(listed.map { $0["tag"] as? String } == ["a", "b"])
        #expect(listed.map { $0["files"] as? Int } == [1, 1])
        for (arguments, words) in [
            (["snapshot", "alice", "a"], "already"), (["snapshot", "alice", "../x"], "'../x'"),
            (["snapshot", "nobody", "a"], "no session 'nobody'"),
            (["rollback", "alice", "c"], "no snapshot 'c'"),
            (["clone", "alice", "bob"], "already"), (["clone", "alice", "x/y"], "'x/y'"),
            (["clone", "alice", "new", "--snapshot", "c"], "no snapshot 'c'"),
            (["snapshots", "alice", "--remove", "c"], "no snapshot 'c'"),
            (["commit", "nobody", bench.folder.path("x")], "no session 'nobody'"),
            (["commit", "alice", bench.image], "not empty"),
        ] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments + ["--state", bench.state])
            #expect(result.status == .exited(1), "\(arguments)")
            #expect(result.errors.contains(words), "\(arguments): \(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
        try await bench.succeed("snapshots", "alice", "--remove", "a")
        #expect(try await bench.run("rollback", "alice", "a").status == .exited(1))
        for session in ["alice", "bob"] {
            let found = try await bench.run("fsck", session)
            #expect(found.output == "session \(session): clean\n")
        }
    }

    /// Whenever a snapshot is cut off, it is whole or not there, and the session is as it was.
    @Test func aSnapshotThatIsKilledIsWholeOrNotThere() async throws {
        let bench = try Bench()
        let (proxy, client) = try await bench.serve("alice")
        for index in 0..<300 { _ = try await client.create("file\(index)", "\(index)") }
        await client.close()
        try await proxy.terminate()
        let seed = Seed()
        var random = seed.makeGenerator()
        for round in 0..<12 {
            let child = try ChildProcess(
                ProjectPaths.builtProgram("rowctl"),
                ["snapshot", "alice", "tag\(round)", "--state", bench.state])
            usleep(UInt32.random(in: 0..<60_000, using: &random))
            try await child.kill()
            let listed = try await bench.succeed("snapshots", "alice", "--json")
            let tags = try #require(
                JSONSerialization.jsonObject(with: Data(listed.utf8)) as? [[String: Any]])
            for tag in tags.compactMap({ $0["tag"] as? String }) {
                try await bench.succeed("clone", "alice", "copy", "--snapshot", tag)
                let found = try await bench.run("fsck", "copy")
                #expect(found.output == "session copy: clean\n", "\(seed) \(tag)")
                try await bench.succeed("rm", "copy", "--yes")
            }
            let found = try await bench.run("fsck", "alice")
            #expect(found.status == .exited(0), "\(seed): \(found.output)")
        }
        let (again, reader) = try await bench.serve("alice")
        for index in 0..<300 {
            let file = try await reader.lookup(
                NFS3.Filename("file\(index)"), in: reader.rootHandle
            ).success.object
            #expect(try await reader.text(of: file) == "\(index)")
        }
        await reader.close()
        try await again.terminate()
    }

    @Test func aCommitThatIsCutOffGoesOnAndIsTheMergedTree() async throws {
        let bench = try Bench()
        for index in 0..<400 {
            _ = try bench.folder.file("image/f\(index)", String(repeating: "x", count: 40_000))
        }
        _ = try bench.folder.directory("image/empty")
        let (proxy, client) = try await bench.serve("alice")
        _ = try await client.create("f7", "changed")
        let made = try await client.create("made\u{1}", "new")
        let root = client.rootHandle
        _ = try await client.link(made, as: NFS3.Filename("hard"), in: root).success
        _ = try await client.symlink(
            NFS3.Filename("link"), in: root, to: NFS3.Path("./f1//x")
        ).success
        _ = try await client.remove(NFS3.Filename("f8"), in: root).success
        let target = bench.folder.path("published")
        let child = try ChildProcess(
            ProjectPaths.builtProgram("rowctl"),
            ["commit", "alice", target, "--state", bench.state])
        try await poll(for: "files of the commit", within: .seconds(60)) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: target)) ?? []
            return names.count > 30 || !child.isRunning ? () : nil
        }
        try await child.kill()
        #expect(FileManager.default.fileExists(atPath: target + "/.rowctl-commit"))
        // What is changed now is not of the moment that the commit began.
        _ = try await client.create("later", "not to be seen")
        let said = try await bench.succeed("commit", "alice", target)
        #expect(said.contains("404 objects"), "\(said)")
        #expect(!said.contains("15.2 MiB"), "nothing was kept: \(said)")
        await client.close()
        try await proxy.terminate()

        let files = FileManager.default
        let names = Set(try files.contentsOfDirectory(atPath: target))
        var expected = Set(
            (0..<400).map { "f\($0)" } + ["old", "empty", "made\u{1}", "hard", "link"])
        expected.remove("f8")
        #expect(names == expected)
        func text(_ name: String) throws -> String {
            try String(contentsOfFile: "\(target)/\(name)", encoding: .utf8)
        }
        #expect(try text("f7").hasPrefix("changedxxx"))
        #expect(try text("f9") == String(repeating: "x", count: 40_000))
        #expect(try text("made\u{1}") == "new")
        #expect(try files.destinationOfSymbolicLink(atPath: target + "/link") == "./f1//x")
        func inode(_ name: String) throws -> Int? {
            try files.attributesOfItem(atPath: "\(target)/\(name)")[.systemFileNumber] as? Int
        }
        #expect(try inode("hard") == inode("made\u{1}"))
        let left = try await bench.succeed("ls", "--json")
        #expect(!left.contains("commit-"), "\(left)")
    }
    @Test func aCommitReachesMainAsItWasServedAndSaysWhatItWaitsFor() async throws {
        let bench = try Bench()
        let main = try await SimulatedNFSServer.start()
        // Nobody is there under the second address; the first is not reached without ?mountport.
        let proxy = try await RowctlProcess.start([
            "serve", "\(main.export.url),nfs://127.0.0.1:1/x?mountport=1", "--session", "far",
            "--state", bench.state,
        ])
        try await proxy.terminate()
        let target = bench.folder.path("far")
        main.setSilent(true)
        let child = try ChildProcess(
            ProjectPaths.builtProgram("rowctl"),
            ["commit", "far", target, "--state", bench.state, "--main-timeout", "0.5"])
        try await poll(for: "words on both servers", within: .seconds(60)) {
            let words = child.errors
            let isBoth =
                words.contains("waiting for nfs://127.0.0.1:1/")
                && words.split(separator: "\n").count > 1
            return isBoth || !child.isRunning ? () : nil
        }
        #expect(child.isRunning, "\(child.errors)")
        main.setSilent(false)
        #expect(try await child.exit(within: .seconds(60)) == .exited(0), "\(child.errors)")
        let hello = try String(contentsOfFile: target + "/hello", encoding: .utf8)
        #expect(hello == "hello, world\n")
        try await main.stop()
    }

}
