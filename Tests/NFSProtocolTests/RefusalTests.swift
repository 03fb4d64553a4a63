import CodecTestKit
import NFSProtocol
import Testing
import XDR

/// What each type refuses, and with which code.
@Suite struct RefusalTests {
    @Test(arguments: [UInt32(0), 8, .max])
    func aFileTypeIsOneOfSeven(type: UInt32) {
        #expect(throws: XDRError(.badDiscriminant, at: 0)) {
            try NFS3.FileType(decoding: bytes(type))
        }
        #expect(throws: XDRError(.badDiscriminant, at: 0)) {
            try NFS3.Mknod.Node(decoding: bytes(type))
        }
    }

    @Test(arguments: [UInt32(3), .max])
    func threeWaysAreAllThereAreToSyncToSetATimeAndToCreate(way: UInt32) {
        #expect(throws: XDRError(.badDiscriminant, at: 0)) {
            try NFS3.Stability(decoding: bytes(way))
        }
        #expect(throws: XDRError(.badDiscriminant, at: 0)) {
            try NFS3.SetTime(decoding: bytes(way))
        }
        #expect(throws: XDRError(.badDiscriminant, at: 0)) {
            try NFS3.CreateMode(decoding: bytes(way))
        }
    }

    @Test func aHandleHasAtMostSixtyFourBytes() throws {
        let longest = bytes(64) + [UInt8](repeating: 1, count: 64)
        #expect(try NFS3.FileHandle(decoding: longest).count == 64)
        #expect(throws: XDRError(.tooLong, at: 0)) {
            try NFS3.FileHandle(decoding: bytes(65) + [UInt8](repeating: 1, count: 68))
        }
        #expect(NFS3.FileHandle([UInt8](repeating: 1, count: 65)) == nil)
    }

    @Test(arguments: [31, 33])
    func aVersion1HandleHasExactlyThirtyTwoBytes(count: Int) {
        let handle = NFS3.FileHandle([UInt8](repeating: 1, count: count))!
        #expect(Mount.Mnt.SuccessVersion1(handle: handle) == nil)
    }

    @Test func namesAndPathsHaveTheirMaximum() throws {
        try expectMaximum(NFS3.Filename.self, NFS3.nameSizeMaximum)
        try expectMaximum(NFS3.Path.self, NFS3.pathSizeMaximum)
        try expectMaximum(Mount.DirectoryPath.self, 1024)
        try expectMaximum(Mount.Name.self, 255)
    }

    @Test func dataThatIsNotAsLongAsItsCountIsRefused() {
        let arguments = NFS3.Write.Arguments(
            file: NFS3.FileHandle([1])!, offset: 0, count: 5, stable: .unstable, data: 0..<4)
        #expect(throws: XDRError(.badValue, at: 0)) {
            try NFS3.Write.Arguments(decoding: arguments.encoded() + [1, 2, 3, 4])
        }
        let success = NFS3.Read.Success(attributes: nil, count: 3, eof: false, data: 0..<4)
        #expect(throws: XDRError(.badValue, at: 0)) {
            try NFS3.Read.Success(decoding: success.encoded() + [1, 2, 3, 4])
        }
    }

    @Test func dataLongerThanATransferIsRefusedBeforeItIsLookedAt() {
        let count = NFS3.transferSizeMaximum + 1
        let arguments = NFS3.Write.Arguments(
            file: NFS3.FileHandle([1])!, offset: 0, count: UInt32(count), stable: .unstable,
            data: 0..<count)
        #expect(throws: XDRError(.tooLong, at: 0)) {
            try NFS3.Write.Arguments(decoding: arguments.encoded())
        }
    }

    @Test func aCountOfFlavorsThatTheRecordCannotHoldIsRefused() {
        #expect(throws: XDRError(.tooLong, at: 0)) {
            try Mount.Mnt.Success(decoding: bytes(0, .max, 1, 1))
        }
    }

    private func expectMaximum<T: XDRDecodable>(
        _ type: T.Type, _ maximum: Int, at location: SourceLocation = #_sourceLocation
    ) throws {
        let data = [UInt8](repeating: 0x61, count: maximum + 4)
        #expect(throws: XDRError(.tooLong, at: 0), sourceLocation: location) {
            try T(decoding: bytes(UInt32(maximum + 1)) + data)
        }
        _ = try T(
            decoding: bytes(UInt32(maximum)) + data[..<paddedCount(maximum)])
    }

    /// `words` on the wire.
    private func bytes(_ words: UInt32...) -> [UInt8] {
        words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) } }
    }
}

/// What a server relies on when it writes a listing straight into a reply.
@Suite struct StreamingTests {
    @Test func headerEntriesAndEndAreTheWholeListing() {
        let seed = SeededGenerator.seedOfThisRun
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let plain = NFS3.Readdir.Success.random(using: &random)
            let plus = NFS3.Readdirplus.Success.random(using: &random)
            #expect(
                plain.encoded()
                    == NFS3.ListingHeader(
                        attributes: plain.attributes, cookieVerifier: plain.cookieVerifier
                    ).encoded() + plain.entries.flatMap { $0.encoded() }
                    + NFS3.ListingEnd(eof: plain.eof).encoded(), "ROWFS_SEED=\(seed)")
            #expect(
                plus.encoded()
                    == NFS3.ListingHeader(
                        attributes: plus.attributes, cookieVerifier: plus.cookieVerifier
                    ).encoded() + plus.entries.flatMap { $0.encoded() }
                    + NFS3.ListingEnd(eof: plus.eof).encoded(), "ROWFS_SEED=\(seed)")
        }
    }
}

@Suite struct NamingTests {
    @Test func statusesSayTheirNameAsTheRFCWritesIt() {
        #expect(NFS3.Status.ok.description == "NFS3_OK")
        #expect(NFS3.Status.badCookie.description == "NFS3ERR_BAD_COOKIE")
        #expect(NFS3.Status(rawValue: 77).description == "NFS3ERR(77)")
        #expect(Mount.Status.ok.description == "MNT3_OK")
        #expect(Mount.Status.acces.description == "MNT3ERR_ACCES")
        #expect(Mount.Status(rawValue: 77).description == "MNT3ERR(77)")
    }

    @Test func proceduresHaveTheirNumberAndName() {
        #expect(NFS3.Procedure.commit.rawValue == 21)
        #expect(NFS3.Procedure.readdirplus.rawValue == 17)
        #expect(NFS3.Procedure.readdirplus.name == "READDIRPLUS")
        #expect(Mount.Procedure.export.rawValue == 5)
        #expect(Portmap.Procedure.getport.rawValue == 3)
    }
}
