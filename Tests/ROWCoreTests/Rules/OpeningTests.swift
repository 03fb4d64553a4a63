import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// What is refused when image and session are opened, and that nothing is destroyed by it.
@Suite struct OpeningTests {
    private func refusal(_ body: () throws -> Void) -> StateError? {
        do { try body() } catch { return error as? StateError }
        return nil
    }

    private func tree() -> PlainTree {
        var tree = PlainTree()
        tree.make("file", data: [1])
        return tree
    }

    @Test func aSecondOpenerIsRefused() throws {
        let engine = try Engine(PlainMain(tree()))
        let image = refusal {
            _ = try ImageStore(
                directory: FilePath(engine.imageDirectory), source: "test:plain", root: nil,
                isDurable: false, loop: { _ in })
        }
        #expect(image?.code == .imageInUse)
        let session = refusal {
            _ = try SessionState(
                name: "test", directory: FilePath(engine.sessionDirectory), image: engine.image,
                isDurable: false, loop: { _ in })
        }
        #expect(session?.code == .locked)
        #expect(session?.message.contains("in use") == true)
        #expect(try engine.names(.root) == ["file"])
    }

    @Test func aSessionOnAnotherImageIsRefused() throws {
        final class Other: TestMain {
            let main: PlainMain
            let source = "test:other"
            init(_ main: PlainMain) { self.main = main }
            func rootEntry() -> MainEntry { main.rootEntry() }
            func perform(_ fetch: Fetch, in store: ImageStore) -> FetchResult {
                main.perform(fetch, in: store)
            }
            func read(_ id: NodeID, _ range: Range<UInt64>, in store: ImageStore) -> [UInt8] {
                main.read(id, range, in: store)
            }
        }
        let engine = try Engine(PlainMain(tree()))
        try engine.create(.root, "new")
        try engine.close()
        try FileManager.default.removeItem(atPath: engine.imageDirectory)
        let main = engine.main
        engine.main = Other(PlainMain(tree()))
        let refusal = refusal { try engine.open() }
        #expect(refusal?.code == .imageMismatch)
        #expect(refusal?.message.contains("test:plain") == true)
        engine.main = main
        try FileManager.default.removeItem(atPath: engine.imageDirectory)
        try engine.open()
        #expect(try engine.names(.root) == ["file", "new"])
    }

    @Test(arguments: ["image/image.sqlite", "session/session.sqlite"])
    func aDatabaseFromTheFutureIsRefusedAndLeftAlone(file: String) throws {
        let engine = try Engine(PlainMain(tree()))
        try engine.create(.root, "new")
        try engine.close()
        let path = engine.directory + "/" + file
        let queue = try DatabaseQueue(path: path)
        try queue.write { db in
            try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('999')")
        }
        let refusal = refusal { try engine.open() }
        #expect(refusal?.code == .newerSchema)
        #expect(refusal?.message.contains("newer") == true)
        try queue.write { db in
            try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = '999'")
        }
        try engine.open()
        #expect(try engine.names(.root) == ["file", "new"])
    }

    @Test(arguments: ["image/image.sqlite", "session/session.sqlite"])
    func garbageIsRefusedWithAMessageAndLeftAlone(file: String) throws {
        let engine = try Engine(PlainMain(tree()))
        let made = try engine.create(.root, "new")
        try engine.store(made, 0, [1, 2, 3])
        try engine.close()
        let path = engine.directory + "/" + file
        let good = try Disk.contents(path)
        let garbage = Data((0..<5000).map { UInt8($0 * 7 % 256) })
        try Disk.write(path, garbage)
        let refusal = refusal { try engine.open() }
        #expect(refusal?.code == .unreadable)
        #expect(refusal?.message.contains(path) == true)
        #expect(try Disk.contents(path) == garbage)
        #expect(try Disk.names(engine.sessionDirectory + "/shadow").count == 1)
        try Disk.write(path, good)
        try engine.open()
        #expect(try engine.read(made).bytes == [1, 2, 3])
    }

    @Test(arguments: [true, false])
    func strictMeansWALWithFullSync(isDurable: Bool) throws {
        var options = Engine.Options()
        options.isDurable = isDurable
        let engine = try Engine(PlainMain(tree()), options)
        for writer in [engine.session.store.writer, engine.image.writer] {
            let (journal, level) = try writer.readNow { db in
                (
                    try String.fetchOne(db, sql: "PRAGMA journal_mode"),
                    try Int.fetchOne(db, sql: "PRAGMA synchronous")
                )
            }
            #expect(journal == "wal")
            #expect(level == (isDurable ? 2 : 0))
        }
    }

    @Test func anImageThatCannotBeReachedIsServedFromWhatIsKnown() throws {
        let engine = try Engine(PlainMain(tree()))
        let file = try engine.lookup("file")
        try engine.close()
        let image = try ImageStore(
            directory: FilePath(engine.imageDirectory), source: "test:plain", root: nil,
            isDurable: false, loop: { _ in })
        #expect(image.attributes(of: file)?.size == 1)
        image.close()
    }

    @Test func serversKeepTheirNumbersWhateverIsNamedFirst() throws {
        let engine = try Engine(PlainMain(tree()))
        let file = try engine.lookup("file")
        try engine.close()
        // As it was before there could be several.
        let queue = try DatabaseQueue(path: engine.imageDirectory + "/image.sqlite")
        try queue.write { db in
            try db.execute(
                sql: """
                    DROP TABLE replica;
                    DROP INDEX node_linked;
                    ALTER TABLE node DROP COLUMN replica;
                    DELETE FROM grdb_migrations WHERE identifier = '2';
                    """)
        }
        try queue.close()
        #expect(ImageStore.knowsRoot(in: FilePath(engine.imageDirectory)))
        #expect(!ImageStore.knowsRoot(in: FilePath(engine.sessionDirectory)))
        for (servers, numbers) in [
            (["test:plain", "test:second"], [0, 1]), (["test:plain"], [0]),
            (["test:third", "test:second", "test:plain"], [2, 1, 0]),
        ] {
            let image = try ImageStore(
                directory: FilePath(engine.imageDirectory), source: "test:plain", root: nil,
                servers: servers, isDurable: false, loop: { _ in })
            #expect(image.replicas == numbers)
            #expect(image.hasSeveralReplicas)
            #expect(image.replicaOfAttributes(of: file) == 0)
            #expect(image.sample(8) == [file])
            image.close()
        }
    }

    @Test func aSampleIsOfNodesThatAreThere() throws {
        var tree = PlainTree()
        for number in 0..<200 { tree.make("file\(number)", data: [1]) }
        let engine = try Engine(PlainMain(tree))
        _ = try engine.names(.root)
        let sample = engine.image.sample(20)
        #expect(Set(sample).count == 20 && !sample.contains(.root))
        #expect(sample.allSatisfy { engine.image.attributes(of: $0) != nil })
        #expect(engine.image.sample(500).count == 200)
        #expect(engine.image.wholeListing(of: .root, maximum: 199) == nil)
        #expect(engine.image.wholeListing(of: .root, maximum: 200)?.count == 200)
    }

    @Test func closingDoesNotWaitForTheReadersOfItsOwn() throws {
        let engine = try Engine(PlainMain(tree()))
        let start = ContinuousClock.now
        for _ in 0..<3 {
            try engine.create(.root, "x")
            #expect(try engine.names(.root) == ["file", "x"])
            try engine.remove(.root, "x")
            _ = try engine.names(.root)
            try engine.restart()
        }
        // Each would take the five seconds of SQLite's busy timeout.
        #expect(ContinuousClock.now - start < .seconds(12))
    }

    @Test func theLogDoesNotGrowWithTheNumberOfCommits() throws {
        let engine = try Engine(PlainMain(tree()))
        let log = engine.sessionDirectory + "/session.sqlite-wal"
        var largest = 0
        for round in 0..<2000 {
            let name = "n\(round % 50)"
            try engine.create(.root, name)
            try engine.store(try engine.lookup(name), 0, [1])
            try engine.remove(.root, name)
            largest = max(largest, try Disk.size(log))
        }
        // Without a start afresh it would be 90 MB.
        #expect(largest < 16 << 20, "\(largest) bytes")
    }
}
