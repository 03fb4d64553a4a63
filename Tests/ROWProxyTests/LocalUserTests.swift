import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// Other users of the proxy's machine, and what they may have put in the way before.
@Suite(.serialized) struct LocalUserTests {
    private static func refusal(_ body: () async throws -> Void) async -> String {
        do {
            try await body()
            return "not refused"
        } catch {
            return "\(error)"
        }
    }

    private static func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    private static func setMode(_ mode: mode_t, _ paths: String...) {
        for path in paths { chmod(path, mode) }
    }

    private static func imageFolder(_ state: String) throws -> String {
        let images = try FileManager.default.contentsOfDirectory(atPath: "\(state)/images")
        return "\(state)/images/\(try #require(images.first))"
    }

    // MARK: Another user

    @Test func anotherUserIsRefusedByEveryVerb() async throws {
        let other = try OtherUser()
        let folder = try TemporaryDirectory("rowfs-local")
        let (image, state) = (try folder.directory("image"), folder.path("state"))
        let served = try await RowctlProcess.start([
            "serve", image, "--session", "victim", "--state", state,
        ])
        let verbs = [
            ["stat-session", "victim"], ["diff", "victim"], ["fsck", "victim"],
            ["snapshot", "victim", "monday"], ["rollback", "victim", "monday"],
            ["clone", "victim", "mine"], ["mark", "victim", "boot"], ["rm", "victim", "--yes"],
            ["report", "victim", "--out", other.folder.path], ["ls"],
            ["commit", "victim", other.folder.path("copy")],
            ["serve", image, "--session", "mine"], ["serve", image, "--session", "victim"],
        ]
        for verb in verbs {
            let result = try await other.run(
                [other.folder.path("rowctl")] + verb + ["--state", state])
            #expect(result.status != .exited(0), "\(verb)")
            #expect(result.errors.contains("belongs to root"), "\(verb): \(result.errors)")
        }
        let status = try await RowctlProcess.run(["stat-session", "victim", "--state", state])
        #expect(status.contains("running"))
        #expect(try await served.terminate() == .exited(0))
        let list = try await RowctlProcess.run(["ls", "--state", state])
        #expect(list.contains("victim") && !list.contains("mine"))
    }

    @Test func whatIsKeptIsItsOwnersAlone() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        _ = try await served.text(of: served.handle("hello"))
        _ = try await served.create("kept", "data")
        let state = served.folder.path("state")
        func check() throws {
            let paths = try #require(FileManager.default.enumerator(atPath: state))
            var count = 0
            for case let path as String in paths {
                count += 1
                #expect(try Self.mode("\(state)/\(path)") & 0o077 == 0, "\(path)")
            }
            #expect(count > 10)
            #expect(try Self.mode(state) == 0o700)
        }
        try check()
        try await served.stop()
        try check()
        try await main.stop()
    }

    @Test func theControlSocketAnswersItsOwnerAndRootAlone() async throws {
        let other = try OtherUser()
        let served = try await Served.directory()
        let state = served.folder.path("state")
        let image = try Self.imageFolder(state)
        let socket = "\(image)/control.sock"
        let question = try String(
            decoding: JSONEncoder().encode(ControlRequest.status(session: "s")), as: UTF8.self)
        let closed = try await other.send(question, toSocket: socket)
        #expect(closed.errors.contains("Permission denied"))
        // Somebody has given the rights away.
        Self.setMode(0o755, served.folder.path, state, "\(state)/images", image)
        Self.setMode(0o666, socket)
        let refused = try await other.send(question, toSocket: socket)
        #expect(refused.output.isEmpty && refused.errors.isEmpty, "\(refused.errors)")
        #expect(try await served.proxy.status().state == "running")
        Self.setMode(0o700, state)
        #expect(try SessionStatus.read("s", in: served.configuration.state).state == "running")
        try await served.stop()
    }

    // MARK: Where state is kept

    @Test(arguments: [0o777, 0o770, 0o702])
    func aStateDirectoryThatOthersMayWriteToIsRefused(mode: Int) async throws {
        let folder = try TemporaryDirectory("rowfs-local")
        let (image, state) = (try folder.directory("image"), try folder.directory("state"))
        Self.setMode(mode_t(mode), state)
        let refusal = await Self.refusal {
            _ = try await Served.start(.directory(FilePath(image)), in: folder)
        }
        #expect(refusal.contains("chmod go-w \(state)"), "\(refusal)")
        Self.setMode(0o755, state)
        try await Served.start(.directory(FilePath(image)), in: folder).stop()
    }

    @Test func aStateDirectoryThatOthersMayReplaceIsRefused() async throws {
        let folder = try TemporaryDirectory("rowfs-local")
        let image = FilePath(try folder.directory("image"))
        Self.setMode(0o777, folder.path)
        let refusal = await Self.refusal {
            _ = try await Served.start(.directory(image), in: folder)
        }
        #expect(
            refusal.contains("anybody may write to") && refusal.contains("chmod o-w"), "\(refusal)")
        // As in /tmp, whose entries only their owners may move.
        Self.setMode(0o1777, folder.path)
        try await Served.start(.directory(image), in: folder).stop()
        let theirs = try folder.directory("theirs")
        chown(theirs, OtherUser.id, OtherUser.id)
        let configuration = Proxy.Configuration(
            image: .directory(image), session: "s",
            state: StateDirectory(FilePath("\(theirs)/state")))
        let elsewhere = await Self.refusal { _ = try await Proxy.start(configuration) }
        #expect(elsewhere.contains("belongs to nobody, who may put another"), "\(elsewhere)")
    }

    // MARK: Planted in the state directory

    enum Planted: CaseIterable {
        case link, danglingLink, pipe
    }

    /// Others could write there once, until somebody closed it.
    @Test(arguments: Planted.allCases)
    func whatWasPutInThePlaceOfFilesIsNotWrittenThrough(_ planted: Planted) async throws {
        let served = try await Served.directory()
        let folder = served.folder
        _ = try await served.create("kept", "what was written")
        let image = served.configuration.image
        try await served.stop()
        let state = folder.path("state")
        let session = "\(state)/sessions/s"
        let victim = try folder.file("victim", "of somebody else")
        Self.setMode(0o644, victim)
        let shadow = try FileManager.default.contentsOfDirectory(atPath: "\(session)/shadow")
        let imageFolder = try Self.imageFolder(state)
        let places =
            [
                "lock", "ballast", "status.json", "status.json.new", "history", "touched",
                "session.sqlite", "session.sqlite-wal", "session.sqlite-shm",
                "session.sqlite-journal", "shadow/\(try #require(shadow.first))",
            ].map { "\(session)/\($0)" }
            + ["lock", "image.sqlite", "image.sqlite-wal", "image.sqlite-shm", "control.sock"].map {
                "\(imageFolder)/\($0)"
            }
        var refused = 0
        for place in places {
            let aside = "\(folder.path)/aside"
            let wasThere = rename(place, aside) == 0
            switch planted {
            case .link: symlink(victim, place)
            case .danglingLink: symlink(folder.path("new"), place)
            case .pipe: mkfifo(place, 0o666)
            }
            do {
                let again = try await Served.start(image, in: folder)
                let kept = try? await again.text(of: again.handle("kept"))
                #expect(kept == "what was written" || place.contains("/shadow/"), "\(place)")
                #expect(kept != "of somebody else", "\(place)")
                if place.contains("/shadow/"), let file = try? await again.handle("kept") {
                    // Where it is not refused it changes nothing.
                    _ = try? await again.client.write(
                        file, offset: 0, data: ByteBuffer(string: "what was written"),
                        stable: .fileSync)
                }
                try await again.stop()
            } catch let error as StateError {
                refused += 1
                let reasons = ["somebody else may have put it", "is missing or empty"]
                #expect(reasons.contains { error.message.contains($0) }, "\(place): \(error)")
            }
            #expect(
                try String(contentsOfFile: victim, encoding: .utf8) == "of somebody else",
                "\(place)")
            #expect(try Self.mode(victim) == 0o644, "\(place)")
            #expect(!FileManager.default.fileExists(atPath: folder.path("new")), "\(place)")
            // As it was, unless it was replaced by what belongs there.
            var status = stat()
            let isOurs = lstat(place, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
            if !isOurs {
                unlink(place)
                if wasThere { rename(aside, place) }
            }
            unlink(aside)
        }
        #expect(refused >= 5)
        let again = try await Served.start(image, in: folder)
        #expect(try await again.text(of: again.handle("kept")) == "what was written")
        try await again.stop()
    }

    // MARK: Files that are named

    @Test(arguments: Planted.allCases)
    func outputsAreNotWrittenThroughWhatHasTheirNames(_ planted: Planted) async throws {
        let folder = try TemporaryDirectory("rowfs-local")
        let (image, state) = (try folder.directory("image"), folder.path("state"))
        let victim = try folder.file("victim", "of somebody else")
        let place = folder.path("output")
        switch planted {
        case .link: symlink(victim, place)
        case .danglingLink: symlink(folder.path("new"), place)
        case .pipe: mkfifo(place, 0o666)
        }
        let rowctl = try ProjectPaths.builtProgram("rowctl")
        for verb in [
            ["bugreport", "--output", place],
            ["serve", image, "--session", "s", "--record", place],
        ] {
            let result = try await Tool.result(of: rowctl, verb + ["--state", state])
            #expect(result.status != .exited(0))
            #expect(result.errors.contains("cannot write \(place)"), "\(result.errors)")
        }
        // A report replaces whatever has its name.
        try await Served.start(.directory(FilePath(image)), in: folder).stop()
        let page = folder.path("report-s.html")
        rename(place, page)
        try await RowctlProcess.run(["report", "s", "--out", folder.path, "--state", state])
        #expect(try String(contentsOfFile: page, encoding: .utf8).contains("<html"))
        #expect(try String(contentsOfFile: victim, encoding: .utf8) == "of somebody else")
        #expect(!FileManager.default.fileExists(atPath: folder.path("new")))
    }

    @Test func outputsAreNotWrittenToFilesOfOthersOrWithOtherNames() throws {
        let folder = try TemporaryDirectory("rowfs-local")
        let file = try folder.file("mine", "of before")
        let opened = try OutputFile.open(FilePath(file))
        _ = try opened.closeAfter { try opened.writeAll("new".utf8) }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "new")
        #expect(try Self.mode(file) == 0o600)
        link(file, folder.path("second"))
        #expect(throws: StateError.self) { try OutputFile.open(FilePath(file)) }
        unlink(folder.path("second"))
        chown(file, OtherUser.id, OtherUser.id)
        #expect(throws: StateError.self) { try OutputFile.open(FilePath(file)) }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "new")
        try OutputFile.open("/dev/null").close()
    }

    @Test func settingsThatOthersMayChangeAreNotUsed() async throws {
        let folder = try TemporaryDirectory("rowfs-local")
        let image = try folder.directory("image")
        let file = try folder.file(
            "rowfs.yaml", "images: {a: {source: \(image), sessions: {s: }}}\n")
        let rowctl = try ProjectPaths.builtProgram("rowctl")
        try await runTool(rowctl, ["config", "check", file])
        for mode in [0o666, 0o664] as [mode_t] {
            Self.setMode(mode, file)
            for verb in [["config", "check", file], ["serve", "--config", file]] {
                let result = try await Tool.result(of: rowctl, verb)
                #expect(result.status != .exited(0))
                #expect(result.errors.contains("chmod go-w \(file)"), "\(result.errors)")
            }
        }
        Self.setMode(0o644, file)
        chown(file, OtherUser.id, OtherUser.id)
        let theirs = try await Tool.result(of: rowctl, ["config", "check", file])
        #expect(theirs.errors.contains("belongs to another user"), "\(theirs.errors)")
        chown(file, 0, 0)
        try await runTool(rowctl, ["config", "check", file])
    }
}
