import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import NIOSSL
import ONCRPC
import ROWTestKit
import Testing
import XDR

@testable import ROWProxy

/// What a port answers to those who ask for TLS (RFC 9289), as far as their bytes are concerned.
@Suite struct TLSServerTests {
    private static let probe = Message.record(
        Message.call(xid: 9, procedure: 0, credential: .other(flavor: 7)))

    /// The answer without its record mark.
    private static let answer: [UInt8] =
        Message.words(9, 1, 0, 0, 8) + Array("STARTTLS".utf8) + Message.words(0)

    private static func denied(xid: UInt32 = 9, _ status: UInt32) -> [UInt8] {
        Message.words(xid, 1, 1, 1, status)
    }

    private static func getattr(_ served: Served, xid: UInt32 = 10) -> [UInt8] {
        Message.nfs(xid: xid, .getattr, served.root)
    }

    private func events(_ served: Served) async throws -> [String] {
        try await served.proxy.status().events.map(\.message)
    }

    private func served(
        _ certificates: Certificates, _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        let files = try await certificates.issue("server")
        return try await Served.directory {
            $0.tls = files
            configure(&$0)
        }
    }

    @Test func theProbeIsAnsweredAndCallsFollowInsideOfTLS() async throws {
        let certificates = try await Certificates()
        let served = try await served(certificates)
        let raw = try await served.raw()
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        try await raw.startTLS(try await certificates.issue("client").configuration())
        raw.send(Self.getattr(served))
        #expect(try await raw.reply()?.outcome == .success(resultsOffset: 24))
        // Once more, and with other procedures.
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.denied(1))
        raw.send(
            Message.record(Message.call(xid: 9, procedure: 1, credential: .other(flavor: 7))))
        #expect(try await raw.next() == Self.denied(1))
        raw.send(Self.getattr(served, xid: 11))
        #expect(try await raw.reply()?.xid == 11)
        try await served.stop()
    }

    @Test func callsInTheClearMayComeBeforeTheProbe() async throws {
        let served = try await served(try await Certificates())
        let raw = try await served.raw()
        raw.send(Self.getattr(served))
        #expect(try await raw.reply()?.xid == 10)
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        try await served.stop()
    }

    @Test func withoutACertificateTheProbeIsDeniedAndCallsGoOn() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.denied(1))
        raw.send(Self.getattr(served))
        #expect(try await raw.reply()?.xid == 10)
        try await served.stop()
    }

    /// What somebody on the way puts behind the probe would otherwise be taken for the client's, inside of TLS.
    @Test(arguments: [1, 4, Int.max])
    func bytesBehindTheProbeEndTheConnection(count: Int) async throws {
        let served = try await served(try await Certificates())
        let raw = try await served.raw()
        raw.send(Self.probe + Self.getattr(served).prefix(count))
        #expect(try await raw.next() == nil)
        #expect(try await events(served).contains { $0.contains("did not wait for the answer") })
        try await served.stop()
    }

    @Test func aCallInTheClearInPlaceOfTheHandshakeEndsTheConnection() async throws {
        let served = try await served(try await Certificates())
        let raw = try await served.raw()
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        raw.send(Self.getattr(served))
        // An alert of TLS is no record.
        #expect(try await raw.next() == nil)
        #expect(try await events(served).contains { $0.contains("refused TLS to 127.0.0.1") })
        try await served.stop()
    }

    @Test func aHandshakeThatDoesNotEndIsEnded() async throws {
        let served = try await served(try await Certificates()) {
            $0.handshakeTimeout = .milliseconds(200)
        }
        let raw = try await served.raw()
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        #expect(try await raw.next() == nil)
        #expect(try await events(served).contains { $0.contains("did not end within 0.2 s") })
        try await served.stop()
    }

    /// What TLS holds back counts for the limits as well.
    @Test func aClientThatReadsNoRepliesIsNotServedFurther() async throws {
        let certificates = try await Certificates()
        let folder = try TemporaryDirectory()
        // A process of its own, whose memory nothing else uses.
        let proxy = try await RowctlProcess.start(
            [
                "serve", try folder.directory("image"), "--session", "s", "--state",
                try folder.directory("state"),
            ] + (try await certificates.issue("server").arguments))
        let client = try await Served.client(port: proxy.export.port, "s")
        let file = try await client.create("huge")
        _ = try await client.setattr(file, NFS3.SetAttributes(size: 1 << 20)).success
        let raw = try await RawConnection.connect(port: proxy.export.port)
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        try await raw.startTLS(try await certificates.issue("client").configuration())
        raw.send(Message.nfs(xid: 9, .getattr, file))
        #expect(try await raw.reply()?.xid == 9)
        try await raw.stopReading()
        let before = try ProcessMemory.residentBytes(of: proxy.processID)
        let read = NFS3.Read.Arguments(file: file, offset: 0, count: 1 << 20)
        for xid in 0..<300 { raw.send(Message.nfs(xid: UInt32(xid), .read, read)) }
        // Others are served meanwhile.
        for _ in 0..<200 { #expect(try await client.getattr(file).status == .ok) }
        let grown = try ProcessMemory.residentBytes(of: proxy.processID) - before
        #expect(grown < 60 << 20, "\(grown >> 20) MiB")
        try await raw.startReading()
        for xid in 0..<300 { #expect(try await raw.reply()?.xid == UInt32(xid)) }
        await client.close()
        try await proxy.terminate()
    }

    // MARK: Who is let in

    private enum Stranger: CaseIterable {
        case withoutCertificate, ofAnotherAuthority, expired, oldProtocol, otherApplication
    }

    @Test(arguments: Stranger.allCases)
    private func strangersAreRefused(stranger: Stranger) async throws {
        let certificates = try await Certificates()
        let others = try await Certificates()
        defer { withExtendedLifetime(others) {} }
        let served = try await served(certificates)
        var files = try await certificates.issue("client")
        switch stranger {
        case .withoutCertificate, .oldProtocol, .otherApplication: break
        case .ofAnotherAuthority:
            files = try await others.issue("client")
            files.authorities = certificates.authority
        case .expired:
            files = try await certificates.issue(Certificates.Holder(name: "old", days: -1))
        }
        var configuration = try files.configuration(
            showsCertificate: stranger != .withoutCertificate)
        if stranger == .oldProtocol { configuration.maximumTLSVersion = .tlsv12 }
        if stranger == .otherApplication { configuration.applicationProtocols = ["h2"] }
        let raw = try await served.raw()
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        try await raw.startTLS(configuration)
        raw.send(Self.getattr(served))
        #expect(try await raw.next() == nil)
        let reason =
            switch stranger {
            case .withoutCertificate: "shows no certificate"
            case .ofAnotherAuthority, .expired: "vouches for"
            case .oldProtocol: "does not speak TLS 1.3"
            case .otherApplication: "does not want sunrpc"
            }
        let events = try await events(served)
        #expect(events.contains { $0.contains(reason) }, "\(events)")
        try await served.stop()
    }

    @Test func whereTLSIsRequiredOtherMachinesGetNothingElse() async throws {
        let certificates = try await Certificates()
        let served = try await served(certificates) {
            $0.requiresTLS = true
            $0.allow = [AddressRange("127.0.0.0/8")].compactMap(\.self)
        }
        let raw = try await served.raw(from: "127.0.0.2")
        raw.send(Message.record(Message.call(xid: 8, procedure: 0)))
        #expect(try await raw.reply()?.outcome == .success(resultsOffset: 24))
        raw.send(Self.getattr(served))
        #expect(try await raw.next() == Self.denied(xid: 10, 5))
        let mount = Message.call(
            xid: 12, program: Mount.program, version: Mount.version,
            procedure: Mount.Procedure.mnt.rawValue, Mount.DirectoryPath("/s").encoded())
        raw.send(Message.record(mount))
        #expect(try await raw.next() == Self.denied(xid: 12, 5))
        raw.send(Self.probe)
        #expect(try await raw.next() == Self.answer)
        try await raw.startTLS(try await certificates.issue("client").configuration())
        raw.send(Self.getattr(served))
        #expect(try await raw.reply()?.outcome == .success(resultsOffset: 24))
        // This machine's calls cross no network.
        #expect(try await served.client.getattr(served.root).status == .ok)
        try await served.stop()
    }
}
