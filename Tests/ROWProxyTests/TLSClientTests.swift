import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import NIOSSL
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// Proxies whose main is another, behind TLS.
@Suite struct TLSClientTests {
    private func url(port: Int, _ security: String = "mtls", host: String = "127.0.0.1") throws
        -> NFSURL
    {
        try NFSURL("nfs://\(host):\(port)/s?mountport=\(port)&xprtsec=\(security)")
    }

    private func client(_ url: NFSURL, _ files: TLSFiles?) async throws -> NFSClient {
        var options = NFSClient.Options()
        options.connection.reservedPort = .never
        options.connection.credentials = files.map { TLSCredentials($0) }
        return try await NFSClient.connect(url, options: options)
    }

    /// Why there is no connection.
    private func failure(_ url: NFSURL, _ files: TLSFiles?) async throws -> String {
        do {
            let client = try await client(url, files)
            await client.close()
            return "connected"
        } catch let error as NFSClientError {
            #expect(error.code == .tlsFailed, "\(error)")
            return error.context
        }
    }

    private static let pattern = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

    @Test func aProxyOnAProxyReadsAndWritesByTLS() async throws {
        let certificates = try await Certificates()
        let server = try await certificates.issue("server")
        let folder = try TemporaryDirectory("rowfs-tls")
        try Data(Self.pattern).write(to: URL(filePath: try folder.directory("image") + "/large"))
        let gateway = try await Served.start(.directory(FilePath(folder.path("image"))), in: folder)
        {
            $0.tls = server
        }
        let mine = try await certificates.issue("mine")
        let site = try await Served.start(
            .server(try url(port: gateway.port)), in: TemporaryDirectory("rowfs-tls")
        ) { $0.tls = mine }
        let large = try await site.handle("large")
        let (read, data) = try await site.client.read(large, offset: 0, count: 1 << 20)
        #expect(try read.success.count == 1 << 20)
        #expect(Array(data.readableBytesView) == Self.pattern)
        _ = try await site.create("new", "by way of TLS")
        let main = try await site.proxy.status().main
        #expect(main.first?.lastError == nil)
        try await site.stop()
        try await gateway.stop()
    }

    @Test(arguments: ["mtls", "tls"])
    func largeReadsAndWritesPass(security: String) async throws {
        let certificates = try await Certificates()
        var server = try await certificates.issue("server")
        if security == "tls" { server.authorities = nil }
        let served = try await Served.directory { [server] in $0.tls = server }
        let files =
            security == "tls"
            ? TLSFiles(authorities: certificates.authority) : try await certificates.issue("mine")
        for host in ["127.0.0.1", "localhost"] {
            let client = try await client(url(port: served.port, security, host: host), files)
            let file = try await client.create("large-\(host)")
            // Many at once, over one connection.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        let written = try await client.write(
                            file, offset: UInt64(index) << 20,
                            data: ByteBuffer(bytes: Self.pattern),
                            stable: .unstable
                        ).success
                        #expect(written.count == 1 << 20)
                    }
                }
                try await group.waitForAll()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        let (_, data) = try await client.read(
                            file, offset: UInt64(index) << 20, count: 1 << 20)
                        #expect(Array(data.readableBytesView) == Self.pattern)
                    }
                }
                try await group.waitForAll()
            }
            await client.close()
        }
        try await served.stop()
    }

    @Test func aServerThatStartsAgainIsReachedAgain() async throws {
        let certificates = try await Certificates()
        let folder = try TemporaryDirectory("rowfs-tls")
        _ = try folder.directory("image")
        for index in 0..<2 { _ = try folder.file("image/file\(index)", "this is file \(index)\n") }
        let gateway = try await RowctlProcess.start(
            [
                "serve", folder.path("image"), "--session", "s", "--read-only", "--state",
                folder.path("gateway"),
            ] + (try await certificates.issue("server").arguments))
        let mine = try await certificates.issue("mine")
        let site = try await Served.start(
            .server(try url(port: gateway.export.port)), in: TemporaryDirectory("rowfs-tls")
        ) { $0.tls = mine }
        #expect(try await site.text(of: site.handle("file0")) == "this is file 0\n")
        try await gateway.kill()
        try await gateway.restart()
        let second = try await site.handle("file1")
        let text = try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            let (result, data) = try await site.client.read(second, offset: 0, count: 100)
            return result.status == .jukebox ? nil : String(buffer: data)
        }
        #expect(text == "this is file 1\n")
        try await site.stop()
        try await gateway.terminate()
    }

    // MARK: No less than was asked for

    @Test func aServerWithoutTLSIsNotCalled() async throws {
        let main = try await SimulatedNFSServer.start()
        let url = try NFSURL(main.export.url + "&xprtsec=tls")
        #expect(try await failure(url, nil).contains("does not offer TLS"))
        #expect(main.connectionsAccepted == 1)
        // Nor is it by a proxy, which says why.
        let certificates = try await Certificates()
        let mine = try await certificates.issue("mine")
        let folder = try TemporaryDirectory("rowfs-tls")
        var plain = url
        plain.security = .none
        let known = try await Served.start(.server(plain), in: folder)
        try await known.stop()
        let calls = main.calls(.getattr) + main.calls(.lookup)
        let served = try await Served.start(.server(url), in: folder) { $0.tls = mine }
        let error = try await poll(for: "reason in the main's state", within: .seconds(20)) {
            try await served.proxy.status().main.first?.lastError
        }
        #expect(error.contains("does not offer TLS"))
        #expect(main.calls(.getattr) + main.calls(.lookup) == calls)
        try await served.stop()
        try await main.stop()
    }

    @Test func somebodyOnTheWayCannotTakeTLSAway() async throws {
        let certificates = try await Certificates()
        let server = try await certificates.issue("server")
        let served = try await Served.directory { $0.tls = server }
        let relay = try await FaultyTransport.start(target: served.port)
        let mine = try await certificates.issue("mine")
        // A byte of the token; the flavor of the verifier; MSG_ACCEPTED.
        for offset in [4 + 20, 4 + 15, 4 + 11] {
            try await relay.corrupt(.toClient, at: offset)
            let reason = try await failure(url(port: relay.port), mine)
            #expect(reason.contains("does not offer TLS"), "\(reason)")
        }
        // Inside of TLS, what is changed ends the connection.
        try await relay.corrupt(.toClient, at: 4 + 32 + 200)
        #expect(try await failure(url(port: relay.port), mine).contains("TLS"))
        try await relay.corrupt(.toClient, at: nil)
        let client = try await client(url(port: relay.port), mine)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await relay.stop()
        try await served.stop()
    }

    @Test func aServerIsWhoItShouldBe() async throws {
        let certificates = try await Certificates()
        let other = try await certificates.issue(
            Certificates.Holder(name: "other", subjectAltName: "DNS:other.example,IP:192.0.2.1"))
        let served = try await Served.directory { $0.tls = other }
        let mine = try await certificates.issue("mine")
        for host in ["127.0.0.1", "localhost"] {
            let reason = try await failure(url(port: served.port, host: host), mine)
            #expect(reason.contains("for another name"), "\(reason)")
        }
        let others = try await Certificates()
        defer { withExtendedLifetime(others) {} }
        var strange = mine
        strange.authorities = others.authority
        #expect(try await failure(url(port: served.port), strange).contains("vouches for"))
        // Without --tls-ca those that this machine trusts, of whom this is none.
        let reason = try await failure(url(port: served.port, "tls"), nil)
        #expect(reason.contains("vouches for"), "\(reason)")
        try await served.stop()
    }

    private enum Strangeness: CaseIterable {
        case bytesBehindTheAnswer, noHandshake, oldProtocol, otherApplication, expired
    }

    @Test(arguments: Strangeness.allCases)
    private func aServerDoesAsTheStandardSays(strangeness: Strangeness) async throws {
        let certificates = try await Certificates()
        var files = try await certificates.issue("server")
        if strangeness == .expired {
            files = try await certificates.issue(Certificates.Holder(name: "old", days: -1))
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(try #require(files.certificate))
                .map { .certificate($0) },
            privateKey: .privateKey(
                try NIOSSLPrivateKey(file: try #require(files.key), format: .pem)))
        if strangeness == .oldProtocol { tls.maximumTLSVersion = .tlsv12 }
        tls.applicationProtocols = strangeness == .otherApplication ? ["h2"] : ["sunrpc"]
        let server = try await StrangeTLSServer.start(
            behind: strangeness == .bytesBehindTheAnswer ? [0x80, 0, 0, 4] : [],
            strangeness == .noHandshake ? nil : tls)
        var options = NFSClient.Options()
        options.connection.reservedPort = .never
        if strangeness == .noHandshake { options.connection.connectTimeout = .milliseconds(300) }
        options.connection.credentials = TLSCredentials(
            TLSFiles(authorities: certificates.authority))
        let target = try url(port: server.port, "tls")
        let error = try await #require(throws: NFSClientError.self) {
            try await NFSClient.connect(target, options: options)
        }
        #expect(error.code == .tlsFailed)
        let reason =
            switch strangeness {
            case .bytesBehindTheAnswer: "does not offer TLS"
            case .noHandshake: "did not end within 0.3 s"
            case .oldProtocol: "does not speak TLS 1.3"
            case .otherApplication: "does not speak RPC"
            case .expired: "has expired"
            }
        #expect(error.context.contains(reason), "\(error)")
        try await server.stop()
    }

    @Test func aServerThatWantsACertificateSaysSo() async throws {
        let certificates = try await Certificates()
        let server = try await certificates.issue("server")
        let served = try await Served.directory { $0.tls = server }
        let reason = try await failure(
            url(port: served.port, "tls"), TLSFiles(authorities: certificates.authority))
        #expect(reason.contains("wants a certificate"), "\(reason)")
        let others = try await Certificates()
        defer { withExtendedLifetime(others) {} }
        var strange = try await others.issue("strange")
        strange.authorities = certificates.authority
        let refusal = try await failure(url(port: served.port), strange)
        #expect(refusal.contains("does not know who vouches"), "\(refusal)")
        try await served.stop()
    }

    // MARK: Files

    private func refusal(
        _ files: TLSFiles, _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> String {
        do {
            let served = try await Served.directory {
                $0.tls = files
                configure(&$0)
            }
            try await served.stop()
            return "served"
        } catch {
            return "\(error)"
        }
    }

    @Test func filesThatCannotBeUsedAreNamedAtTheStart() async throws {
        let certificates = try await Certificates()
        let good = try await certificates.issue("server")
        let folder = certificates.folder
        func changed(_ change: (inout TLSFiles) -> Void) -> TLSFiles {
            var files = good
            change(&files)
            return files
        }
        #expect(try await refusal(good) == "served")

        #expect(try await refusal(changed { $0.key = nil }).contains("--tls-key"))
        #expect(try await refusal(TLSFiles()) { $0.requiresTLS = true }.contains("--tls-cert"))
        let missing = try await refusal(changed { $0.certificate = folder.path("none") })
        #expect(missing.contains("none cannot be read: No such file"), "\(missing)")
        let nothing = try folder.file("text", "no certificate\n")
        #expect(
            try await refusal(changed { $0.certificate = nothing }).contains(
                "no certificates in PEM"))
        #expect(
            try await refusal(changed { $0.authorities = nothing }).contains(
                "no certificates in PEM"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: nothing)
        #expect(try await refusal(changed { $0.key = nothing }).contains("no private key"))
        let other = try await certificates.issue("other")
        let mismatch = try await refusal(changed { $0.key = other.key })
        #expect(mismatch.contains("cannot be used together"), "\(mismatch)")
        let old = try await certificates.issue(Certificates.Holder(name: "old", days: -1))
        #expect(try await refusal(old).contains("expired on"))
        let key = try #require(good.key)
        for rights in [0o640, 0o604] {
            try FileManager.default.setAttributes([.posixPermissions: rights], ofItemAtPath: key)
            #expect(try await refusal(good).contains("chmod 600 \(key)"))
        }
        // And at the other end.
        let served = try await Served.directory()
        #expect(try await failure(url(port: served.port), good).contains("chmod 600 \(key)"))
        #expect(try await failure(url(port: served.port), old).contains("expired on"))
        #expect(try await failure(url(port: served.port), nil).contains("--tls-cert"))
        try await served.stop()
    }

    @Test func filesThatHaveChangedAreReadAgain() async throws {
        let certificates = try await Certificates()
        let server = try await certificates.issue(
            Certificates.Holder(name: "server", subjectAltName: "DNS:other.example"))
        let served = try await Served.directory { $0.tls = server }
        let mine = try await certificates.issue("mine")
        #expect(try await failure(url(port: served.port), mine).contains("for another name"))
        let good = try await certificates.issue("server")
        let client = try await client(url(port: served.port), mine)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        // What is of no use is not taken.
        try Data().write(to: URL(filePath: try #require(good.certificate)))
        let another = try await self.client(url(port: served.port), mine)
        #expect(try await another.getattr(another.rootHandle).status == .ok)
        await another.close()
        let events = try await served.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("certificates before") }, "\(events)")
        try await served.stop()
    }
}
