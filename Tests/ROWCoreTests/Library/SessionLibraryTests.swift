import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// A session as an importer uses it, on a directory of this host.
@Suite struct SessionLibraryTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private func names(_ session: Session, _ path: FilePath) async throws -> [String] {
        try await session.list(path).compactMap { $0.path.lastComponent?.string }.sorted()
    }

    private func code(_ body: () async throws -> Void) async -> ROWError.Code? {
        do { try await body() } catch { return (error as? ROWError)?.code }
        return nil
    }

    @Test func everyMethodDoesWhatItSays() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        try await session.create("/d/new", mode: 0o600)
        try await session.write("hello".utf8, to: "/d/new", at: 3)
        #expect(try await session.readAll("d/new") == [0, 0, 0] + Array("hello".utf8))
        #expect(try await session.read("/d/new", at: 4, count: 2) == Array("el".utf8))
        #expect(try await session.attributes("/d/new").mode == 0o600)
        try await session.truncate("/d/new", to: 4)
        try await session.setAttributes("/d/new", NFS3.SetAttributes(mode: 0o640, uid: 7))
        let attributes = try await session.attributes("/d/new")
        #expect(attributes.size == 4 && attributes.mode == 0o640 && attributes.uid == 7)
        try await session.makeDirectory("/d/sub", mode: 0o700)
        try await session.makeSymbolicLink("/d/sub/up", to: "../new")
        #expect(try await session.readLink("/d/sub/up") == "../new")
        #expect(try await session.readLink("/link") == "d/large")
        try await session.link("/d/new", as: "/d/sub/hard")
        #expect(try await session.attributes("/d/new").nlink == 2)
        try await session.rename("/d/sub", to: "/sub")
        #expect(try await names(session, "/sub") == ["hard", "up"])
        #expect(try await names(session, "/") == ["d", "file", "link", "sub"])
        #expect(try await session.list("/sub").allSatisfy { $0.path.starts(with: "/sub") })
        try await session.remove("/sub/up")
        try await session.remove("/sub/hard")
        try await session.removeDirectory("/sub")
        #expect(try await names(session, "") == ["d", "file", "link"])
        #expect(
            try await session.diff().map(\.description) == ["added /d/new"])
        try await image.close()
        #expect(try Disk.names(place.directory + "/d") == ["large"])
    }

    @Test func aReadMixesTheImageAndTheChanges() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        var expected = Array(try Disk.contents(place.directory + "/d/large"))
        for (offset, count) in [(0, 3), (5000, 4096), (8192, 4096), (50_001, 1), (99_999, 20)] {
            let data = [UInt8](repeating: UInt8(count % 251), count: count)
            try await session.write(data, to: "/d/large", at: UInt64(offset))
            expected.replaceSubrange(offset..<min(offset + count, expected.count), with: data)
        }
        #expect(try await session.readAll("/d/large") == expected)
        #expect(
            try await session.read("/d/large", at: 4990, count: 20) == Array(expected[4990..<5010]))
        #expect(try await session.read("/d/large", at: 200_000, count: 20).isEmpty)
        try await image.close()
    }

    @Test func whatReturnedIsThereWithoutClosing() async throws {
        for round in 0..<2 {
            let image = try await place.open()
            let session = try await image.openSession("s")
            if round == 0 {
                try await session.write("TE".utf8, to: "/file", at: 0)
                try await session.makeDirectory("/made")
            } else {
                #expect(try await session.readAll("/file") == Array("TExt".utf8))
                #expect(try await session.attributes("/made").type == .directory)
                try await image.close()
            }
        }
    }

    @Test func unstableWritesAreSafeAfterSync() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        try await session.write("1234".utf8, to: "/file", at: 0, stable: .unstable)
        #expect(try await session.readAll("/file") == Array("1234".utf8))
        let stored = place.state.session("s")
        let state = place.state.image(image.name)
        #expect(try SessionDiff.read(session: stored, image: state).isEmpty)
        try await session.sync()
        let changes = try SessionDiff.read("s", in: place.state)
        #expect(changes.map(\.path) == ["/file"])
        try await image.close()
    }

    @Test func refusalsSayWhatAndWhere() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        do throws(ROWError) {
            _ = try await session.readAll("/d/none")
            Issue.record("there is no such file")
        } catch {
            #expect(error == ROWError(.noent, path: "/d/none"))
            #expect(error.description.contains("/d/none"))
        }
        let refused: [(NFS3.Status, () async throws -> Void)] = [
            (.exist, { try await session.create("/file") }),
            (.exist, { try await session.makeDirectory("/") }),
            (.isdir, { try await session.remove("/d") }),
            (.isdir, { try await session.remove("/") }),
            (.notdir, { try await session.removeDirectory("/file") }),
            (.notEmpty, { try await session.removeDirectory("/d") }),
            (.notdir, { _ = try await session.list("/file") }),
            // Links are not followed.
            (.notdir, { _ = try await session.readAll("/link/x") }),
            (.inval, { _ = try await session.readAll("/link") }),
            (.inval, { _ = try await session.readLink("/file") }),
            (.inval, { try await session.rename("/d", to: "/d/below") }),
            (.inval, { try await session.rename("/", to: "/d/below") }),
            (.exist, { try await session.rename("/d", to: "/") }),
            (.fbig, { try await session.truncate("/file", to: .max) }),
            (
                .nameTooLong,
                {
                    try await session.create(FilePath("/" + String(repeating: "n", count: 256)))
                }
            ),
        ]
        for (index, (status, body)) in refused.enumerated() {
            #expect(await code(body) == .status(status), "number \(index)")
        }
        #expect(try await session.diff().isEmpty)
        try await image.close()
    }

    @Test func theCredentialOfTheSessionCounts() async throws {
        let image = try await place.open()
        var options = Session.Options()
        options.credential = .nobody
        let session = try await image.openSession("s", options: options)
        #expect(await code { try await session.create("/d/x") } == .status(.acces))
        #expect(await code { try await session.remove("/file") } == .status(.acces))
        options.isReadOnly = true
        let other = try await image.openSession("t", options: options)
        #expect(await code { try await other.create("/d/x") } == .status(.rofs))
        #expect(try await other.readAll("/file") == Array("text".utf8))
        try await image.close()
    }

    @Test func namesAreBytes() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        let path = FilePath(bytes: [0x2f, 0xff, 0xfe, 0x20])
        try await session.create(path)
        #expect(try await session.list("/").contains { $0.path == path })
        #expect(try await session.diff().map(\.path) == [path])
        try await image.close()
    }

    @Test func aNameThatIsNoSessionIsRefused() async throws {
        let image = try await place.open()
        for name in ["", "a/b", ".hidden", "-x", String(repeating: "x", count: 65)] {
            #expect(
                await code { _ = try await image.openSession(name) } == .state(.invalidName))
        }
        var options = Session.Options()
        options.blockSize = 1000
        #expect(
            await code { _ = try await image.openSession("s", options: options) }
                == .status(.inval))
        try await image.close()
    }
}
