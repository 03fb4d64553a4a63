import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// Several sessions of one image in one process: they come and go over the control socket.
@Suite struct JoinTests {
    /// The settings for another session of the same image.
    private func configuration(
        _ served: Served, session: String
    ) -> Proxy.Configuration {
        var configuration = served.configuration
        configuration.session = session
        return configuration
    }

    private func join(_ configuration: Proxy.Configuration) async throws -> Membership {
        switch try await Proxy.serve(configuration) {
        case .guest(let membership): return membership
        case .host(let proxy):
            try await proxy.stop()
            throw StateError(.io, "started a process of its own")
        }
    }

    private func refusal(_ configuration: Proxy.Configuration) async -> String {
        do {
            switch try await Proxy.serve(configuration) {
            case .guest(let membership): try await membership.leave()
            case .host(let proxy): try await proxy.stop()
            }
            return "was not refused"
        } catch {
            return "\(error)"
        }
    }

    @Test func aSecondSessionOfAnImageIsServedByTheProcessThatServesTheFirst() async throws {
        let served = try await Served.directory()
        let guest = try await join(configuration(served, session: "guest"))
        #expect(guest.port == served.port && guest.processID == getpid())
        #expect(guest.mountCommand.hasSuffix(" 127.0.0.1:/guest DIR"))
        let client = try await Served.client(port: guest.port, "guest")

        _ = try await client.create("hello", "of the guest")
        let hello = try await served.handle("hello")
        #expect(try await served.text(of: hello) == "hello, world\n")
        #expect(
            try await served.client.lookup(NFS3.Filename("made"), in: served.root).status == .noent)

        let state = served.configuration.state
        let host = try SessionStatus.read("s", in: state)
        let other = try SessionStatus.read("guest", in: state)
        #expect(host.state == "running" && other.state == "running")
        #expect(other.calls.client["CREATE"] == 1 && host.calls.client["CREATE"] == nil)
        #expect(host.calls.client["LOOKUP"] == 2 && other.calls.client["LOOKUP"] == nil)
        #expect(other.bytes.fromClient == 12 && host.bytes.fromClient == 0)
        #expect(other.changed.files == 1 && host.changed.files == 0)
        await client.close()
        try await guest.leave()
        #expect(try SessionStatus.read("guest", in: state).state == "stopped")
        try await served.stop()
    }

    @Test func clientsOfASessionThatLeftWaitUntilItIsServedAgain() async throws {
        let served = try await Served.directory()
        let configuration = configuration(served, session: "guest")
        let first = try await join(configuration)
        let client = try await Served.client(port: first.port, "guest")
        let file = try await client.create("mine", "before")
        try await first.leave()
        #expect(try await client.getattr(file).status == .jukebox)
        #expect(try await client.read(file, offset: 0, count: 1).result.status == .jukebox)
        let second = try await join(configuration)
        #expect(try await client.text(of: file) == "before")
        await client.close()
        try await second.leave()
        try await served.stop()
    }

    @Test func aGuestTakesOverWhereItsClientsAreWhenItsHostEnds() async throws {
        let served = try await Served.directory {
            $0.rootAccess = .squash
            $0.allow = [AddressRange("127.0.0.0/8")].compactMap(\.self)
        }
        var configuration = configuration(served, session: "guest")
        let guest = try await join(configuration)
        let client = try await Served.client(port: guest.port, "guest")
        let file = try await client.lookup(NFS3.Filename("hello"), in: client.rootHandle).success
            .object
        try await served.stop()
        await guest.ended()
        configuration.succeed(guest)
        guard case .host(let proxy) = try await Proxy.serve(configuration) else {
            Issue.record("there is nobody to join")
            return
        }
        #expect(proxy.port == guest.port)
        #expect(proxy.configuration.rootAccess == .squash)
        #expect(proxy.configuration.allow.map(\.description) == ["127.0.0.0/8"])
        #expect(try await client.text(of: file) == "hello, world\n")
        await client.close()
        try await proxy.stop()
    }

    @Test func nobodyWaitsForAnAnswerOfAProcessThatHasEnded() async throws {
        let served = try await Served.directory()
        let image = served.configuration.state.image(served.configuration.image.canonicalName)
        let socket = image.appending(ControlSocket.name).string
        // In its place one that a program which was started meanwhile has got: it listens, and never
        // answers.
        let silent = try ControlSocket.bind(in: image)
        #expect(listen(silent, 1) == 0)
        try await served.stop()
        #expect(access(socket, F_OK) != 0)
        guard case .host(let again) = try await Proxy.serve(served.configuration) else {
            Issue.record("joined nobody")
            return
        }
        try await again.stop()
        close(silent)
    }

    @Test func whoWantsTLSDoesNotJoinAProcessThatAsksInTheClear() throws {
        func settings(_ url: String) throws -> Proxy.SharedSettings {
            Proxy.SharedSettings(
                Proxy.Configuration(
                    image: .server(try NFSURL(url)), session: "s",
                    state: StateDirectory(FilePath("/none"))))
        }
        let plain = try settings("nfs://server/export")
        let mutual = try settings("nfs://server/export?xprtsec=mtls")
        #expect(plain.conflict(with: mutual) == "nfs://server/export?xprtsec=mtls")
        #expect(mutual.conflict(with: plain) == "nfs://server/export")
        #expect(mutual.conflict(with: mutual) == nil)
        let elsewhere = try settings("nfs://server/export?mountport=635&xprtsec=mtls")
        #expect(mutual.conflict(with: elsewhere) == nil)
    }

    @Test func aSessionIsServedOnceAndAGuestTakesTheSettingsOfItsHost() async throws {
        let served = try await Served.directory()
        let guest = configuration(served, session: "guest")
        #expect(await refusal(served.configuration).contains("in use"))
        let cases: [(String, (inout Proxy.Configuration) -> Void)] = [
            ("--listen 127.0.0.1:1", { $0.port = 1 }),
            ("--allow", { $0.allow = [AddressRange("192.0.2.0/24")].compactMap(\.self) }),
            ("--root squash", { $0.rootAccess = .squash }),
            ("--manage-gids", { $0.managesGroups = true }),
            ("--portmap", { $0.portmap = Proxy.PortmapAddress(port: 0) }),
            (
                "--require-tls",
                {
                    $0.tls = TLSFiles(certificate: "/c", key: "/k")
                    $0.requiresTLS = true
                }
            ), ("--tls-cert", { $0.tls = TLSFiles(certificate: "/c", key: "/k") }),
            ("--durability relaxed", { $0.durability = .strict }),
            ("session's name", { $0.session = "a/b" }),
        ]
        for (words, change) in cases {
            var wanted = guest
            change(&wanted)
            let message = await refusal(wanted)
            #expect(message.contains(words), "\(message)")
        }
        // Whoever lets others in by joining a process that does must say so.
        let open = try await Served.directory {
            $0.host = "0.0.0.0"
            $0.allow = [AddressRange("127.0.0.0/8")].compactMap(\.self)
        }
        var silent = configuration(open, session: "guest")
        silent.host = guest.host
        silent.allow = []
        #expect(await refusal(silent).contains("--allow 127.0.0.0/8"))
        silent.allow = open.configuration.allow
        try await join(silent).leave()
        try await open.stop()
        // None of them left anything behind.
        let membership = try await join(guest)
        try await membership.leave()
        try await served.stop()
    }

    @Test func aGuestThatWantsAnyPortOfTheHostsAddressHasIt() async throws {
        let served = try await Served.directory {
            $0.host = "0.0.0.0"
            $0.allow = [AddressRange("127.0.0.0/8")].compactMap(\.self)
        }
        var guest = configuration(served, session: "guest")
        guest.port = 0
        let membership = try await join(guest)
        #expect(membership.port == served.port)
        try await membership.leave()
        guest.host = "127.0.0.2"
        #expect(await refusal(guest).contains("--listen 127.0.0.2:0"))
        try await served.stop()
    }

    @Test func aGuestHasTheCacheTheTimeoutAndTheServersOfItsHostOrIsRefused() async throws {
        let main = try await SimulatedNFSServer.start()
        let first = try NFSURL(main.export.url)
        let urls = [first, try NFSURL("nfs://127.0.0.1:1/x?mountport=1")]
        let served = try await Served.start(
            .servers(urls), in: TemporaryDirectory("rowfs-proxy")
        ) {
            $0.cacheSize = ByteSize(bytes: 5 << 30)
            $0.mainTimeout = .seconds(2)
        }
        var guest = Proxy.Configuration(
            image: .server(first), session: "guest", state: served.configuration.state)
        guest.durability = .relaxed
        let cases: [(String, (inout Proxy.Configuration) throws -> Void)] = [
            ("--cache-size 10G", { $0.cacheSize = Proxy.Configuration.cacheSizeDefault }),
            ("--main-timeout 20.0", { $0.mainTimeout = .seconds(20) }),
            (
                "nfs://127.0.0.1:2/x",
                { $0.image = .servers(urls + [try NFSURL("nfs://127.0.0.1:2/x?mountport=2")]) }
            ),
        ]
        for (words, change) in cases {
            var wanted = guest
            try change(&wanted)
            let message = await refusal(wanted)
            #expect(message.contains("without \(words)"), "\(message)")
        }
        var same = guest
        same.cacheSize = ByteSize(bytes: 5 << 30)
        same.mainTimeout = .seconds(2)
        same.image = .servers(urls)
        try await join(same).leave()

        let membership = try await join(guest)
        try await served.stop()
        await membership.ended()
        guest.succeed(membership)
        // A connection of another test may have been given the port meanwhile, for a moment.
        let serving = try await poll(for: "the port of before", within: .seconds(30)) {
            try? await Proxy.serve(guest)
        }
        guard case .host(let proxy) = serving else {
            Issue.record("there is nobody to join")
            return
        }
        #expect(proxy.configuration.cacheSize == same.cacheSize)
        #expect(proxy.configuration.mainTimeout == same.mainTimeout)
        #expect(try await proxy.status().main.count == 2)
        try await proxy.stop()
        try await main.stop()
    }

    @Test func aSessionJoinsWhileMainIsAway() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let configuration = configuration(served, session: "guest")
        main.setSilent(true)
        try await main.stop()
        let guest = try await join(configuration)
        let client = try await Served.client(port: guest.port, "guest")
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await guest.leave()
        try await served.stop()
    }

    @Test func aSessionGoesWithTheProcessThatBroughtIt() async throws {
        let served = try await Served.directory()
        let arguments = [
            "serve", served.folder.path("image"), "--session", "guest", "--durability", "relaxed",
            "--state", served.folder.path("state"),
        ]
        let guest = try await RowctlProcess.start(arguments)
        #expect(guest.export.port == served.port && guest.export.path == "/guest")
        try await guest.kill()
        let membership = try await poll(for: "release of the session", within: .seconds(20)) {
            try? await join(configuration(served, session: "guest"))
        }
        try await membership.leave()
        // Asked to end, it waits until the session is let go of.
        let second = try await RowctlProcess.start(arguments)
        #expect(try await second.terminate() == .exited(0))
        let again = try await join(configuration(served, session: "guest"))
        try await again.leave()
        try await served.stop()
    }

    /// Changes a file in each of two sessions, then loses the image database.
    private func withLostDatabase(
        _ work: (Served, NFSClient, [NFS3.FileHandle], Proxy.Configuration) async throws -> Void
    ) async throws {
        let served = try await Served.directory()
        let guestConfiguration = configuration(served, session: "guest")
        let guest = try await join(guestConfiguration)
        let client = try await Served.client(port: guest.port, "guest")
        _ = try await served.create("hello", "of the host")
        let files = [
            try await client.create("hello", "of the guest"),
            try await client.create("large", "of the guest too"),
        ]
        try await guest.leave()
        await served.client.close()
        try await served.proxy.stop()
        let images = served.folder.path("state/images")
        for image in try FileManager.default.contentsOfDirectory(atPath: images) {
            for file in ["image.sqlite", "image.sqlite-wal", "image.sqlite-shm"] {
                try? FileManager.default.removeItem(atPath: "\(images)/\(image)/\(file)")
            }
        }
        try await work(served, client, files, guestConfiguration)
        await client.close()
    }

    @Test func allSessionsKeepTheirNumbersWhenTheImageDatabaseIsLost() async throws {
        try await withLostDatabase { served, client, files, configuration in
            var host = served.configuration
            host.port = served.port
            let again = try await Proxy.start(host)
            // What one session looks up must not get a number that another one knows.
            let first = try await Served.client(port: again.port, "s")
            for name in ["empty", "large", "link", "directory"] {
                _ = try await first.lookup(NFS3.Filename(name), in: first.rootHandle).success
            }
            await first.close()
            let guest = try await join(configuration)
            #expect(try await client.text(of: files[0]).hasPrefix("of the guest"))
            #expect(try await client.text(of: files[1]).hasPrefix("of the guest too"))
            try await guest.leave()
            try await again.stop()
        }
    }

    @Test func aLostObjectKeepsItsNumberWhateverItsNameThatIsSeenFirst() async throws {
        let served = try await Served.directory()
        let files = FileManager.default
        // The name that sorts first is not the one by which the session changes it.
        try files.linkItem(
            atPath: served.folder.path("image/hello"), toPath: served.folder.path("image/a-link"))
        var guestConfiguration = configuration(served, session: "guest")
        let guest = try await join(guestConfiguration)
        let client = try await Served.client(port: guest.port, "guest")
        let file = try await client.create("hello", "HELLO")
        await client.close()
        try await guest.leave()
        await served.client.close()
        try await served.proxy.stop()
        let images = served.folder.path("state/images")
        for image in try files.contentsOfDirectory(atPath: images) {
            try files.removeItem(atPath: "\(images)/\(image)")
        }
        let again = try await Proxy.start(served.configuration)
        let first = try await Served.client(port: again.port, "s")
        _ = try await first.lookup(NFS3.Filename("a-link"), in: first.rootHandle).success
        await first.close()
        guestConfiguration.port = 0
        let back = try await join(guestConfiguration)
        let reader = try await Served.client(port: back.port, "guest")
        #expect(try await reader.text(of: file).hasPrefix("HELLO"))
        await reader.close()
        try await back.leave()
        try await again.stop()
    }

    @Test func aSessionWhoseNumbersAreTakenIsRefusedAndKept() async throws {
        try await withLostDatabase { served, client, files, configuration in
            // The session is elsewhere while the new database comes into use.
            let path = served.folder.path("state/sessions/guest")
            try FileManager.default.moveItem(atPath: path, toPath: served.folder.path("away"))
            var host = served.configuration
            host.port = served.port
            let again = try await Proxy.start(host)
            let first = try await Served.client(port: again.port, "s")
            _ = try await first.lookup(NFS3.Filename("large"), in: first.rootHandle).success
            await first.close()
            try FileManager.default.moveItem(atPath: served.folder.path("away"), toPath: path)
            let message = await refusal(configuration)
            #expect(message.contains("large") && message.contains("database"), "\(message)")
            #expect(try StoredSession.read(FilePath(path)).files == 2)
            try await again.stop()
        }
    }
}
