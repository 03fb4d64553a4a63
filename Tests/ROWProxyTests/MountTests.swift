import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ONCRPC
import ROWProxy
import ROWTestKit
import Testing
import XDR

/// MOUNT, and who may come in as whom.
@Suite struct MountTests {
    private func mount(
        _ raw: RawConnection, _ procedure: Mount.Procedure, version: UInt32 = 3,
        _ arguments: [UInt8] = []
    ) async throws -> [UInt8] {
        raw.send(
            Message.record(
                Message.call(
                    xid: 1, program: Mount.program, version: version,
                    procedure: procedure.rawValue, credential: .none, arguments)))
        return try #require(try await raw.next())
    }

    @Test(arguments: [1, 3] as [UInt32])
    func bothVersionsMountListAndUnmount(version: UInt32) async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let path = Mount.DirectoryPath("/s/directory")
        _ = try await mount(raw, .null, version: version)
        let reply = try await mount(raw, .mnt, version: version, path.encoded())
        let expected = try await served.handle("directory")
        if version == 1 {
            guard case .ok(let ok) = try reply.results(Mount.Mnt.ResultVersion1.self) else {
                Issue.record("refused")
                return
            }
            #expect(ok.handle == expected)
        } else {
            guard case .ok(let ok) = try reply.results(Mount.Mnt.Result.self) else {
                Issue.record("refused")
                return
            }
            #expect(ok.handle == expected)
            #expect(ok.flavors.contains(RPC.Flavor.sys))
        }
        let exports = try await mount(raw, .export, version: version)
            .results(Mount.Export.Result.self)
        #expect(exports.entries.map(\.directory.description) == ["/s"])
        let dump = try await mount(raw, .dump, version: version).results(Mount.Dump.Result.self)
        #expect(dump.entries.contains { $0.directory == path })
        _ = try await mount(raw, .umnt, version: version, path.encoded())
        let after = try await mount(raw, .dump, version: version).results(Mount.Dump.Result.self)
        #expect(!after.entries.contains { $0.directory == path })
        _ = try await mount(raw, .umntall, version: version)
        let empty = try await mount(raw, .dump, version: version).results(Mount.Dump.Result.self)
        #expect(empty.entries.isEmpty)
        try await served.stop()
    }

    @Test func pathsThatCannotBeMountedAreRefused() async throws {
        let served = try await Served.directory()
        let cases: [(String, Mount.Status)] = [
            ("/", .noent), ("/other", .noent), ("/s/nothing", .noent), ("/s/hello", .notdir),
            ("/s/hello/x", .notdir), ("/s/" + String(repeating: "x", count: 256), .nameTooLong),
        ]
        for (path, status) in cases {
            let raw = try await served.raw()
            let reply = try await mount(raw, .mnt, Mount.DirectoryPath(path).encoded())
            #expect(try reply.results(Mount.Mnt.Result.self).status == status, "\(path.prefix(20))")
        }
        for path in ["/s", "s", "/s/", "//s//directory/..", "/s/./directory"] {
            #expect(try await served.mount(path).getattr(served.root).status == .ok)
        }
        try await served.stop()
    }

    @Test func onlyAllowedAddressesComeIn() async throws {
        let served = try await Served.directory {
            $0.allow = [AddressRange("127.0.0.1/32"), AddressRange("127.1.0.0/16")].compactMap(
                \.self)
        }
        for address in ["127.0.0.1", "127.1.2.3"] {
            let raw = try await served.raw(from: address)
            raw.send(Message.record(Message.call(xid: 1, procedure: 0)))
            #expect(try await raw.reply()?.xid == 1)
        }
        for address in ["127.0.0.2", "127.2.0.1"] {
            let raw = try await served.raw(from: address)
            raw.send(Message.record(Message.call(xid: 1, procedure: 0)))
            #expect(try await raw.next() == nil)
        }
        let events = try await served.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("refused a connection from 127.2.0.1") })
        let exports = try await MountClient.connect(
            host: "127.0.0.1", port: served.port,
            on: MultiThreadedEventLoopGroup.singleton.next())
        #expect(try await exports.exports().first?.groups.count == 2)
        await exports.close()
        try await served.stop()
    }

    @Test func rootIsKeptOnLoopbackAndSquashedElsewhere() async throws {
        for (host, access, isKept) in [
            ("127.0.0.1", nil, true), ("127.0.0.1", .squash, false), ("0.0.0.0", nil, false),
            ("0.0.0.0", .keep, true),
        ] as [(String, Proxy.RootAccess?, Bool)] {
            let served = try await Served.directory {
                $0.host = host
                $0.rootAccess = access
                $0.allow = host == "0.0.0.0" ? AddressRange("127.0.0.0/8").map { [$0] } ?? [] : []
            }
            let made = try await served.client.create(
                NFS3.Filename("x"), in: served.root, .guarded(NFS3.SetAttributes(mode: 0o600)))
            #expect(made.status == (isKept ? .ok : .acces), "\(host)")
            try await served.stop()
        }
    }

    @Test func managedGroupsAreThoseOfThisMachine() async throws {
        let served = try await Served.directory { $0.managesGroups = true }
        let file = try await served.create("group", "x")
        _ = try await served.client.setattr(
            file, NFS3.SetAttributes(mode: 0o640, uid: 0, gid: 4242)
        ).success
        // uid 1 is in this machine's user database, and not in group 4242, whatever it claims.
        let known = served.client(uid: 1, gid: 1, groups: [4242])
        #expect(try await known.read(file, offset: 0, count: 1).result.status == .acces)
        // A user that this machine does not know is believed.
        let unknown = served.client(uid: 3_999_999, gid: 1, groups: [4242])
        #expect(try await unknown.read(file, offset: 0, count: 1).result.status == .ok)
        try await served.stop()
        let plain = try await Served.directory()
        let other = try await plain.create("group", "x")
        _ = try await plain.client.setattr(
            other, NFS3.SetAttributes(mode: 0o640, uid: 0, gid: 4242)
        ).success
        let believed = plain.client(uid: 1, gid: 1, groups: [4242])
        #expect(try await believed.read(other, offset: 0, count: 1).result.status == .ok)
        try await plain.stop()
    }
}
