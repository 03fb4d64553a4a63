import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Which databases are compared, what refuses to be, and how changes look as JSON.
@Suite struct SessionDiffStateTests {
    private let engine: Engine

    init() throws {
        var tree = PlainTree()
        tree.make("a", data: [1])
        tree.make("d", .directory)
        tree.make("d/x", data: [2])
        engine = try Engine(PlainMain(tree))
    }

    private func changes() throws -> [Change] {
        try SessionDiff.read(
            session: FilePath(engine.sessionDirectory), image: FilePath(engine.imageDirectory))
    }

    private func code(_ body: () throws -> Void) -> StateError.Code? {
        do { try body() } catch { return (error as? StateError)?.code }
        return nil
    }

    @Test func mainIsNotAskedAndNothingIsWritten() throws {
        try engine.rename(.root, "a", .root, "b")
        try engine.close()
        let fetches = (engine.main as? PlainMain)?.fetches.count
        let files = ["/session/session.sqlite", "/image/image.sqlite"].map { engine.directory + $0 }
        let before = try files.map { try Disk.contents($0) }
        #expect(try changes().map(\.description) == ["renamed /b (was /a)"])
        #expect(try files.map { try Disk.contents($0) } == before)
        #expect((engine.main as? PlainMain)?.fetches.count == fetches)
    }

    @Test func whatACrashLeftIsRead() throws {
        try engine.remove(.root, "a")
        engine.crash()
        #expect(try changes().map(\.description) == ["removed /a"])
        try engine.open()
    }

    @Test func anotherImageDatabaseIsRefusedUntilTheSessionRanOnIt() throws {
        try engine.store(try engine.lookup("d/x"), 0, [3])
        try engine.close()
        try FileManager.default.removeItem(atPath: engine.imageDirectory)
        #expect(code { _ = try changes() } == .notFound)
        // One of the same image that knows other ids.
        try ImageStore(
            directory: FilePath(engine.imageDirectory), source: "test:plain",
            root: PlainMain(PlainTree()).rootEntry(), isDurable: false, loop: { _ in }
        ).close()
        #expect(code { _ = try changes() } == .imageMismatch)
        try engine.open()
        #expect(try changes().map(\.path) == ["/d/x"])
    }

    @Test func anImageDatabaseOfAnotherSourceIsRefused() throws {
        try engine.close()
        let queue = try DatabaseQueue(path: engine.imageDirectory + "/image.sqlite")
        try queue.write { db in
            try db.execute(sql: "UPDATE meta SET value = 'else' WHERE key = 'source'")
        }
        #expect(code { _ = try changes() } == .imageMismatch)
    }

    @Test(arguments: ["image/image.sqlite", "session/session.sqlite"])
    func aDatabaseFromTheFutureOrOfGarbageIsRefused(file: String) throws {
        try engine.close()
        let path = engine.directory + "/" + file
        let queue = try DatabaseQueue(path: path)
        try queue.write { db in
            try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('999')")
        }
        #expect(code { _ = try changes() } == .newerSchema)
        try queue.close()
        try Disk.write(path, Data(repeating: 0x77, count: 5000))
        #expect(code { _ = try changes() } == .unreadable)
    }

    @Test func aDirectoryThatTheSessionMadeOpaqueShowsNothingOfTheImage() throws {
        try engine.create(try engine.lookup("d"), "y")
        _ = try engine.lookup("d/x")
        try engine.close()
        let queue = try DatabaseQueue(path: engine.sessionDirectory + "/session.sqlite")
        try queue.write { db in
            try db.execute(
                sql: "UPDATE node SET flags = flags | ? WHERE main_path = ?",
                arguments: [Node.Flags.opaque.rawValue, Data("d".utf8)])
        }
        #expect(try changes().map(\.description) == ["removed /d/x", "added /d/y"])
    }

    @Test func anUnknownSessionIsRefusedByName() throws {
        let state = StateLayout(FilePath(engine.directory))
        #expect(code { _ = try SessionDiff.read("none", in: state) } == .notFound)
        #expect(code { _ = try SessionDiff.read("a/b", in: state) } == .invalidName)
    }

    @Test func namesOfAnyBytesSurviveJSON() throws {
        let name: [UInt8] = [0xff, 0x41, 0x0a, 0x80]
        try engine.call { session throws(Interrupt) in
            try session.create(.root, name, .guarded(NFS3.SetAttributes()), .root)
        }
        try engine.rename(.root, "a", .root, "é\"")
        try engine.store(try engine.lookup("é\""), 0, [5])
        let changes = try changes()
        #expect(changes.map(\.path.bytes) == [Array("/é\"".utf8), [0x2f] + name])
        let json = try JSONEncoder().encode(changes)
        #expect(try JSONDecoder().decode([Change].self, from: json) == changes)
        let text = try JSONSerialization.jsonObject(with: json) as? [[String: Any]]
        #expect(text?[0]["path"] as? String == "/é\"")
        #expect(text?[0]["oldPath"] as? String == "/a")
        #expect(text?[0]["aspects"] as? [String] == ["content", "modificationTime"])
        #expect(text?[0]["pathBase64"] == nil)
        #expect(text?[1]["pathBase64"] as? String == Data([0x2f] + name).base64EncodedString())
        #expect(text?[1]["kind"] as? String == "added")
        #expect(text?[1]["type"] as? String == "file")
    }

    @Test func everyFieldOfAChangeSurvivesJSON() throws {
        let path = FilePath(bytes: [0x2f, 0xc3, 0x28])
        for kind in Change.Kind.allCases {
            for type in NFS3.FileType.allCases {
                let change = Change(
                    kind, path, oldPath: "/old", linkTo: path, type: type, oldType: .socket,
                    aspects: [.owner, .mode], size: .max, storedBytes: 1)
                let json = try JSONEncoder().encode(change)
                #expect(try JSONDecoder().decode(Change.self, from: json) == change)
            }
        }
        for broken in [
            #"{"kind":"added","path":"/a","type":"file","aspects":["x"],"size":0,"storedBytes":0}"#,
            #"{"kind":"added","path":"/a","type":"x","aspects":[],"size":0,"storedBytes":0}"#,
            #"{"kind":"added","type":"file","aspects":[],"size":0,"storedBytes":0}"#,
            #"{"kind":"x","path":"/a","type":"file","aspects":[],"size":0,"storedBytes":0}"#,
            #"{"kind":"added","pathBase64":"?","type":"file","aspects":[],"size":0,"storedBytes":0}"#,
        ] {
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(Change.self, from: Data(broken.utf8))
            }
        }
    }
}
