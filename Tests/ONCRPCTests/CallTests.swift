import ONCRPC
import Testing
import XDR

@Suite struct CallTests {
    /// NFSv3 GETATTR by root with groups 4 and 24, from a machine called "ab".
    static let call = words(
        0x0102_0304,  // xid
        0,  // CALL
        2,  // RPC version
        100_003, 3, 1,  // program, version, procedure
        1, 32,  // AUTH_SYS, bytes of its body
        7,  // stamp
        2, 0x6162_0000,  // machine name and padding
        0, 0,  // uid, gid
        2, 4, 24,  // groups
        0, 0,  // verifier
        0xAAAA_AAAA)  // the arguments

    static let header = RPC.CallHeader(
        xid: 0x0102_0304, program: 100_003, version: 3, procedure: 1,
        credential: .sys(RPC.AuthSys(stamp: 7, uid: 0, gid: 0, groups: RPC.Groups([4, 24]))),
        argumentsOffset: 72)

    private func parse(_ bytes: [UInt8]) -> RPC.ParsedCall { RPC.parseCall(bytes.span.bytes) }

    /// The call with another credential and verifier in front of no arguments.
    private func call(
        procedure: UInt32 = 1, flavor: UInt32, body: [UInt8], verifier: [UInt8] = words(0, 0)
    ) -> [UInt8] {
        words(9, 0, 2, 100_003, 3, procedure, flavor, UInt32(body.count)) + body
            + [UInt8](repeating: 0, count: paddedCount(body.count) - body.count) + verifier
    }

    @Test func readsACallOfAuthSys() {
        #expect(parse(Self.call) == .call(Self.header))
    }

    @Test func readsACallOfAuthNone() {
        let expected = RPC.CallHeader(
            xid: 9, program: 100_003, version: 3, procedure: 1, credential: .none,
            argumentsOffset: 40)
        #expect(parse(call(flavor: 0, body: [])) == .call(expected))
    }

    @Test func aCallCutAtAnyByteOfItsHeaderIsNotACall() {
        for count in 0..<Self.header.argumentsOffset {
            #expect(parse(Array(Self.call[..<count])) == .notACall, "cut at \(count)")
        }
        #expect(parse(Array(Self.call[..<72])) == .call(Self.header))
    }

    @Test func aReplyIsNotACall() {
        #expect(parse(words(1, 1, 0, 0, 0, 0)) == .notACall)
        #expect(parse(words(1, 2, 2, 100_003, 3, 0, 0, 0, 0, 0)) == .notACall)
    }

    @Test(arguments: [0, 1, 3, UInt32.max])
    func otherRPCVersionsAreToldTheOneThereIs(version: UInt32) {
        #expect(
            parse(words(5, 0, version)) == .reject(xid: 5, .rpcMismatch(low: 2, high: 2)))
    }

    @Test func aMalformedAuthSysBodyIsABadCredential() {
        let good = words(7, 0, 1, 2, 1, 3)
        #expect(parse(call(flavor: 1, body: good)) != .reject(xid: 9, .authError(1)))
        for count in 0..<good.count {
            let cut = call(flavor: 1, body: Array(good[..<count]))
            #expect(parse(cut) == .reject(xid: 9, .authError(1)), "body of \(count) bytes")
        }
        let tooManyGroups = words(7, 0, 1, 2, 17) + [UInt8](repeating: 0, count: 17 * 4)
        #expect(parse(call(flavor: 1, body: tooManyGroups)) == .reject(xid: 9, .authError(1)))
        let longName = words(7, 256) + [UInt8](repeating: 65, count: 256) + words(1, 2, 0)
        #expect(parse(call(flavor: 1, body: longName)) == .reject(xid: 9, .authError(1)))
        #expect(parse(call(flavor: 1, body: good + words(0))) == .reject(xid: 9, .authError(1)))
    }

    @Test func machineNamesOf255BytesAndSixteenGroupsAreTheMost() {
        let groups = (0..<16).map { UInt32($0) }
        var body = words(7, 255) + [UInt8](repeating: 65, count: 255) + [0] + words(1, 2, 16)
        for group in groups { body += words(group) }
        guard case .call(let header) = parse(call(flavor: 1, body: body)) else {
            Issue.record("the call was not accepted")
            return
        }
        let expected = RPC.AuthSys(stamp: 7, uid: 1, gid: 2, groups: RPC.Groups(groups))
        #expect(header.credential == .sys(expected))
    }

    @Test func bodiesOver400BytesAreRefusedByTheirKind() {
        let long = [UInt8](repeating: 0, count: 404)
        #expect(parse(call(flavor: 0, body: long)) == .reject(xid: 9, .authError(1)))
        let verifier = words(0, 404) + long
        #expect(
            parse(call(flavor: 0, body: [], verifier: verifier)) == .reject(xid: 9, .authError(3)))
    }

    @Test(arguments: [2, 3, 6, 390_003])
    func otherFlavorsAreTooWeakExceptForNull(flavor: UInt32) {
        let body = words(1, 2, 3)
        #expect(parse(call(flavor: flavor, body: body)) == .reject(xid: 9, .authError(5)))
        guard case .call(let header) = parse(call(procedure: 0, flavor: flavor, body: body)) else {
            Issue.record("NULL was not accepted")
            return
        }
        #expect(header.credential == .other(flavor: flavor))
        #expect(header.argumentsOffset == 52)
    }

    @Test func aWrittenCallIsReadBackForEveryCredential() {
        let credentials: [RPC.Credential] = [
            .none, .other(flavor: 6), .sys(RPC.AuthSys(uid: 1, gid: 2)),
            .sys(RPC.AuthSys(stamp: 3, uid: .max, gid: 0, groups: RPC.Groups(1...16))),
        ]
        for credential in credentials {
            let size = RPC.callHeaderSize(credential)
            let bytes = written(count: size) {
                RPC.encodeCall(
                    xid: 77, program: 100_005, version: 1, procedure: 0, credential: credential,
                    into: &$0)
            }
            #expect(bytes.count == size)
            let expected = RPC.CallHeader(
                xid: 77, program: 100_005, version: 1, procedure: 0, credential: credential,
                argumentsOffset: size)
            #expect(parse(bytes) == .call(expected))
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func randomBytesNeverTrap(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            var bytes = Self.call
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            let cut = Array(bytes[..<Int.random(in: 0...bytes.count, using: &generator)])
            if case .call(let header) = parse(cut) {
                #expect(header.argumentsOffset <= cut.count, "seed \(seed)")
            }
        }
    }

    @Test func groupsAreACollectionThatKeepsTheFirstSixteen() {
        let groups = RPC.Groups((100..<130).map { UInt32($0) })
        #expect(Array(groups) == (100..<116).map { UInt32($0) })
        #expect(groups.contains(115))
        #expect(!groups.contains(116))
        #expect(!RPC.Groups([5]).contains(0))
        #expect(RPC.Groups([1, 2]) != RPC.Groups([1]))
        #expect(RPC.Groups([1, 2]) == RPC.Groups([1, 2] as Set).sortedGroups)
    }
}

extension RPC.Groups {
    fileprivate var sortedGroups: RPC.Groups { RPC.Groups(sorted()) }
}
