import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWProxy
import ROWTestKit
import Testing
import XDR

/// What a client may send besides well-formed calls: it is answered or its connection closed, and
/// others do not notice.
@Suite struct RecordTests {
    private func parsed(_ connection: RawConnection) async throws -> RPC.ParsedReply.Outcome? {
        try await connection.reply()?.outcome
    }

    @Test func programsVersionsAndProceduresThatAreNotThereAreNamed() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let cases: [(program: UInt32, version: UInt32, procedure: UInt32, RPC.AcceptError)] = [
            (100_227, 3, 0, .progUnavail),  // NFSACL
            (100_021, 4, 0, .progUnavail),  // NLM
            (NFS3.program, 2, 0, .progMismatch(low: 3, high: 3)),
            (NFS3.program, 4, 0, .progMismatch(low: 3, high: 3)),
            (NFS3.program, 3, 22, .procUnavail),
            (NFS3.program, 3, .max, .procUnavail),
            (Mount.program, 2, 0, .progMismatch(low: 1, high: 3)),
            (Mount.program, 3, 6, .procUnavail),
        ]
        for (index, (program, version, procedure, error)) in cases.enumerated() {
            raw.send(
                Message.record(
                    Message.call(
                        xid: UInt32(index), program: program, version: version,
                        procedure: procedure)))
            #expect(try await parsed(raw) == .acceptError(error), "\(program) \(version)")
        }
        try await served.stop()
    }

    @Test func argumentsThatDoNotDecodeAreGarbage() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        for procedure in NFS3.Procedure.allCases where procedure != .null {
            for arguments in [[], [0, 0, 0, 200], [UInt8](repeating: 0xFF, count: 64)] {
                raw.send(
                    Message.record(
                        Message.call(xid: 1, procedure: procedure.rawValue, arguments)))
                #expect(
                    try await parsed(raw) == .acceptError(.garbageArgs),
                    "\(procedure.name) \(arguments.count)")
            }
            // Bytes past the end.
            let long = NFS3.Getattr.Arguments(object: served.root).encoded() + [0, 0, 0, 0]
            if procedure == .getattr {
                raw.send(Message.record(Message.call(xid: 1, procedure: 1, long)))
                #expect(try await parsed(raw) == .acceptError(.garbageArgs))
            }
        }
        // More data than a WRITE may carry.
        let data = [UInt8](repeating: 1, count: (1 << 20) + 4)
        raw.send(Message.write(xid: 1, served.root, data, .unstable))
        #expect(try await parsed(raw) == .acceptError(.garbageArgs))
        try await served.stop()
    }

    @Test func badCredentialsAreRejectedAndTheConnectionGoesOn() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        func call(_ flavor: UInt32, _ body: [UInt8]) -> [UInt8] {
            Message.encoded(32) { output in
                for word in [7, 0, 2, NFS3.program, 3, 1, flavor, UInt32(body.count)] as [UInt32] {
                    output.encode(word)
                }
            } + body + [UInt8](repeating: 0, count: 8)
        }
        raw.send(Message.record(call(1, [1, 2, 3, 4])))
        #expect(
            try await parsed(raw) == .rejection(.authError(RPC.AuthStatus.badCredential)))
        raw.send(Message.record(call(1, [UInt8](repeating: 0, count: 404))))
        #expect(
            try await parsed(raw) == .rejection(.authError(RPC.AuthStatus.badCredential)))
        raw.send(Message.record(call(6, [])))
        #expect(try await parsed(raw) == .rejection(.authError(RPC.AuthStatus.tooWeak)))
        var wrongVersion = Message.call(xid: 8, procedure: 0)
        wrongVersion[11] = 3
        raw.send(Message.record(wrongVersion))
        #expect(try await parsed(raw) == .rejection(.rpcMismatch(low: 2, high: 2)))
        raw.send(Message.nfs(xid: 9, .getattr, NFS3.Getattr.Arguments(object: served.root)))
        let getattr = try #require(try await raw.next())
        #expect(try getattr.results(NFS3.Getattr.Result.self).status == .ok)
        try await served.stop()
    }

    @Test func aStreamThatCannotBeFollowedIsClosed() async throws {
        let served = try await Served.directory()
        let tooLong = Message.encoded(4) { $0.encode(RPC.lastFragment | 0x7FFF_FFFF) }
        let reply = Message.record(
            Message.encoded(24) { RPC.encodeSuccess(xid: 1, into: &$0) })
        let empty = Message.record([])
        let fragments = (0..<2000).flatMap { _ in Message.fragment([1], isLast: false) }
        let long = (0..<3).flatMap { _ in
            Message.fragment([UInt8](repeating: 0, count: 1 << 19), isLast: false)
        }
        for bytes in [tooLong, reply, empty, fragments, long, Array("GET / HTTP/1.1\r\n\r\n".utf8)]
        {
            let raw = try await served.raw()
            raw.send(bytes)
            #expect(try await raw.next() == nil)
        }
        #expect(try await served.client.getattr(served.root).status == .ok)
        let status = try await served.proxy.status()
        #expect(
            status.events.contains { $0.message.contains("closed a connection from 127.0.0.1") })
        try await served.stop()
    }

    @Test func callsBehindAnUnreadableOneAreNotCarriedOut() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let mkdir = NFS3.Mkdir.Arguments(
            location: NFS3.DirectoryOperation(
                directory: served.root, name: NFS3.Filename("never")),
            attributes: NFS3.SetAttributes())
        raw.send(Message.record([]) + Message.nfs(xid: 1, .mkdir, mkdir))
        #expect(try await raw.next() == nil)
        #expect(
            try await served.client.lookup(NFS3.Filename("never"), in: served.root).status
                == .noent)
        try await served.stop()
    }

    @Test func aRecordInManyTinyFragmentsIsOneCall() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let call = Message.call(
            xid: 5, procedure: NFS3.Procedure.getattr.rawValue,
            NFS3.Getattr.Arguments(object: served.root).encoded())
        for size in [1, 3, 40] {
            var bytes: [UInt8] = []
            for start in stride(from: 0, to: call.count, by: size) {
                let piece = call[start..<min(start + size, call.count)]
                bytes += Message.fragment(piece, isLast: start + size >= call.count)
            }
            // Whole, and byte by byte.
            raw.send(bytes)
            #expect(try await raw.reply()?.outcome == .success(resultsOffset: 24))
            for byte in bytes { raw.send([byte]) }
            #expect(try await raw.reply()?.outcome == .success(resultsOffset: 24))
        }
        try await served.stop()
    }

    @Test func aLargeWriteInPiecesOfAnySizeArrivesWhole() async throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let served = try await Served.directory()
        let raw = try await served.raw()
        let file = try await served.create("pieces")
        for round in 0..<4 {
            let data = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ round) }
            let bytes =
                Message.write(xid: UInt32(round), file, data, .unstable)
                + Message.nfs(xid: 99, .getattr, NFS3.Getattr.Arguments(object: file))
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + Int.random(in: 1...300_000, using: &random))
                raw.send(Array(bytes[start..<end]))
                start = end
            }
            #expect(try await raw.reply()?.xid == UInt32(round), "\(seed)")
            #expect(try await raw.reply()?.xid == 99, "\(seed)")
            let (result, read) = try await served.client.read(file, offset: 0, count: 1 << 20)
            #expect(try result.success.count == 1 << 20, "\(seed)")
            #expect(Array(read.readableBytesView) == data, "\(seed)")
        }
        try await served.stop()
    }

    @Test func aWriteCutInItsMarkItsHeaderOrItsPaddingArrivesWhole() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let file = try await served.create("cut")
        for count in [(1 << 20) - 1, (1 << 20) - 2, (1 << 20) - 3, 5, 1] {
            let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }
            let bytes = Message.write(xid: UInt32(count), file, data, .unstable)
            let header = bytes.count - paddedCount(count)
            for cut in [2, 30, header - 1, header, header + 1, bytes.count - 2, bytes.count - 1] {
                raw.send(Array(bytes[..<cut]))
                raw.send(Array(bytes[cut...]))
                #expect(try await raw.reply()?.xid == UInt32(count), "\(count) cut at \(cut)")
            }
            let (result, read) = try await served.client.read(
                file, offset: 0, count: UInt32(count))
            #expect(try result.success.count == count)
            #expect(Array(read.readableBytesView) == data, "\(count)")
        }
        try await served.stop()
    }

    @Test func aLargeWriteInFragmentsArrivesWhole() async throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let served = try await Served.directory()
        let raw = try await served.raw()
        let file = try await served.create("fragments")
        for round in 0..<4 {
            let data = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ round) }
            let call = Message.write(xid: UInt32(round), file, data, .unstable).dropFirst(4)
            var bytes: [UInt8] = []
            var rest = call
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 0...400_000, using: &random))
                bytes += Message.fragment(rest.prefix(count), isLast: count == rest.count)
                rest = rest.dropFirst(count)
            }
            // Behind one another, so that a read of the socket ends anywhere.
            raw.send(bytes + bytes)
            for _ in 0..<2 { #expect(try await raw.reply()?.xid == UInt32(round), "\(seed)") }
            let (_, read) = try await served.client.read(file, offset: 0, count: 1 << 20)
            #expect(Array(read.readableBytesView) == data, "\(seed)")
        }
        try await served.stop()
    }

    @Test func randomBytesNeitherStopNorSwellTheServer() async throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let served = try await Served.directory()
        for _ in 0..<200 {
            let raw = try await served.raw()
            let count = Int.random(in: 1...400, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes = Message.record(bytes)
            case 1:
                // A call that begins well.
                let procedure = UInt32.random(in: 0...22, using: &random)
                bytes = Message.record(
                    Message.call(xid: 1, procedure: procedure, served.root.encoded() + bytes))
            default: break
            }
            raw.send(bytes)
            try await raw.close()
        }
        #expect(try await served.client.getattr(served.root).status == .ok, "\(seed)")
        #expect(try await served.text(of: served.handle("hello")) == "hello, world\n", "\(seed)")
        try await served.stop()
    }

    @Test func everyPrefixOfACallIsWaitedForOrDropped() async throws {
        let served = try await Served.directory()
        let call = Message.nfs(
            xid: 1, .lookup,
            NFS3.Lookup.Arguments(
                what: NFS3.DirectoryOperation(
                    directory: served.root, name: NFS3.Filename("hello"))))
        for count in 0..<call.count {
            let raw = try await served.raw()
            raw.send(Array(call.prefix(count)))
            try await raw.close()
        }
        let raw = try await served.raw()
        // The same call cut short inside its record.
        for count in stride(from: 4, to: call.count - 4, by: 4) {
            raw.send(Message.record(Array(call[4..<(4 + count)])))
            guard let reply = try await raw.next() else { break }
            #expect(try RPC.parseReply(reply.span.bytes).outcome == .acceptError(.garbageArgs))
        }
        #expect(try await served.client.getattr(served.root).status == .ok)
        try await served.stop()
    }
}
