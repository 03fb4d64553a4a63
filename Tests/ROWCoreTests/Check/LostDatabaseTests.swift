import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Sessions whose database is gone, cannot be read, or must not be touched; and that opening a session
/// never drops what it does not understand.
@Suite struct LostDatabaseTests {
    private func refusal(_ body: () throws -> Void) -> StateError? {
        do { try body() } catch { return error as? StateError }
        return nil
    }

    enum Loss: CaseIterable { case missing, empty, garbage }

    @Test(arguments: Loss.allCases)
    func aLostDatabaseIsNotTakenForANewSession(loss: Loss) throws {
        let session = try DamagedSession()
        let kind: SessionFinding.Kind
        switch loss {
        case .missing:
            kind = .databaseMissing
            try FileManager.default.removeItem(atPath: session.database)
        case .empty:
            kind = .databaseEmpty
            try Disk.write(session.database, Data())
        case .garbage:
            kind = .notADatabase
            try Disk.write(session.database, Data((0..<50_000).map { UInt8($0 * 7 % 251) }))
        }
        let shadow = try Disk.names(session.directory + "/shadow")
        let refused = refusal { try session.engine.open() }
        #expect(refused?.code == .unreadable)
        #expect(
            refused?.message.contains("rowctl fsck test") == true, "\(String(describing: refused))")
        #expect(try Disk.names(session.directory + "/shadow") == shadow)

        #expect(try session.check().findings.contains { $0.kind == kind })
        let report = try session.check(isRepairing: true)
        #expect(report.isClean)
        let aside = try #require(report.lostAndFound)
        #expect(aside.hasSuffix("/session/lost+found-1"))
        #expect(try Disk.names(aside + "/shadow") == shadow)
        #expect(try Disk.contents(aside + "/findings.txt").isEmpty == false)
        if loss == .garbage { #expect(Disk.exists(aside + "/session.sqlite")) }
        #expect(try session.check().findings == [])
        try session.engine.open()
        #expect(try session.engine.names(.root) == ["d", "file", "old"])
    }

    /// Nothing was kept in a session that was being made when its machine stopped.
    @Test func anEmptyDatabaseWithoutDataIsANewSession() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        try engine.close()
        for name in try Disk.names(engine.sessionDirectory) where name.hasPrefix("session.sqlite") {
            try FileManager.default.removeItem(atPath: engine.sessionDirectory + "/" + name)
        }
        try Disk.write(engine.sessionDirectory + "/session.sqlite", Data())
        try engine.open()
        #expect(try engine.names(.root) == [])
    }

    @Test func rowsOfALostTableAreMadeAgainFromTheOthers() throws {
        let session = try DamagedSession()
        try session.destroy("node")
        let report = try session.check(isRepairing: true)
        #expect(report.isClean)
        #expect(try session.check().findings == [])
        try session.engine.open()
        for (path, bytes) in session.contents {
            let found = try session.engine.read(try session.engine.lookup(path)).bytes
            // Where a file ended is not on record any more; its last block is.
            #expect(found.count >= bytes.count, "\(path)")
            #expect(Array(found.prefix(bytes.count)) == bytes, "\(path)")
            #expect(found.dropFirst(bytes.count).allSatisfy { $0 == 0 }, "\(path)")
        }
    }

    @Test func namesThatAreLostAreReplaced() throws {
        let session = try DamagedSession()
        try session.destroy("delta")
        #expect(try session.check(isRepairing: true).isClean)
        #expect(try session.check().findings == [])
        try session.engine.open()
        // By the directories that objects remember; the image's directory shows under its old name.
        let made = "lost+found-" + String(try #require(session.ids["made"]).rawValue, radix: 16)
        let child =
            "lost+found-" + String(try #require(session.ids["made/child"]).rawValue, radix: 16)
        let read = try session.engine.read(try session.engine.lookup(made + "/" + child)).bytes
        #expect(read == session.contents["made/child"])
        let inner = try session.engine.read(try session.engine.lookup("d/inner")).bytes
        #expect(inner == session.contents["made/moved/inner"])
    }

    @Test func aDatabaseFromTheFutureIsLeftAlone() throws {
        let session = try DamagedSession()
        try session.sql("INSERT INTO grdb_migrations VALUES ('999')")
        let database = try Disk.contents(session.database)
        let report = try session.check(isRepairing: true)
        #expect(report.findings.map(\.kind) == [.newerSchema])
        #expect(report.left == report.findings && !report.isClean)
        #expect(try Disk.contents(session.database) == database)
        try session.sql("DELETE FROM grdb_migrations WHERE identifier = '999'")
        try session.compare()
    }

    /// As if the repair had been killed between making the new database and putting it in place.
    @Test func aRepairThatWasCutOffIsFinished() throws {
        let session = try DamagedSession()
        try FileManager.default.moveItem(
            atPath: session.database, toPath: session.directory + "/session.sqlite-repaired")
        try Disk.write(session.database, Data("the damaged one".utf8))
        let refused = refusal { try session.engine.open() }
        #expect(refused?.code == .unreadable)
        #expect(try session.check().findings.map(\.kind) == [.repairCutOff])
        #expect(try session.check(isRepairing: true).isClean)
        #expect(try session.check().findings == [])
        try session.compare()
    }

    @Test func aSessionInUseIsNotChecked() throws {
        let session = try DamagedSession()
        try session.engine.open()
        #expect(refusal { _ = try session.check(isRepairing: true) }?.code == .locked)
    }

    @Test func whatRowsAreTakenOutOfUseIsKept() throws {
        let session = try DamagedSession()
        try session.sql("INSERT INTO delta VALUES (98765, x'67686f7374', 77, 5)")
        let report = try session.check(isRepairing: true)
        let lines = try Disk.contents(try #require(report.lostAndFound) + "/rows.jsonl")
        let row = try #require(JSONSerialization.jsonObject(with: lines) as? [String: Any])
        #expect(row["table"] as? String == "delta" && row["child"] as? Int == 77)
        #expect(row["name"] as? String == "x'67686f7374'")
    }

    @Test func lostBytesAreNamed() throws {
        let session = try DamagedSession()
        try session.edit(session.shadow("new")) { $0.removeLast($0.count - 5000) }
        let finding = try #require(try session.check().findings.first)
        #expect(finding.problem.contains("bytes 5000..<16384 are lost"), "\(finding)")
        _ = try session.check(isRepairing: true)
        try session.engine.open()
        let bytes = try session.engine.read(try session.engine.lookup("new")).bytes
        let whole = try #require(session.contents["new"])
        #expect(bytes == whole.prefix(5000) + [UInt8](repeating: 0, count: whole.count - 5000))
    }

    // MARK: The image

    @Test func anImageThatIsMissingOrOtherIsNoDamage() throws {
        let session = try DamagedSession()
        let image = try DatabaseQueue(path: session.engine.imageDirectory + "/image.sqlite")
        try image.write { db in try db.execute(sql: "UPDATE meta SET value = 5 WHERE key = 'epoch'")
        }
        try image.close()
        let other = try session.check()
        #expect(other.findings.map(\.kind) == [.imageOfAnotherEpoch] && other.isClean)
        try FileManager.default.removeItem(atPath: session.engine.imageDirectory)
        let missing = try session.check()
        #expect(missing.findings.map(\.kind) == [.imageMissing] && missing.isClean)
        try session.compare()
    }

    @Test func theImageIsFoundByItsEpochOrNotGuessed() throws {
        let session = try DamagedSession()
        try FileManager.default.removeItem(atPath: session.engine.imageDirectory)
        try session.sql("DELETE FROM meta WHERE key = 'image'")
        let report = try session.check(isRepairing: true)
        #expect(report.left.map(\.kind) == [.identityMissing] && !report.isClean)
        #expect(refusal { try session.engine.open() }?.message.contains("which image") == true)
        #expect(try session.check(isRepairing: true, source: "test:plain").isClean)
        try session.compare()
    }

    @Test func theImageIsFoundByTheObjectsThatWereChanged() throws {
        let session = try DamagedSession()
        try session.destroy("meta")
        let report = try session.check(isRepairing: true)
        #expect(report.isClean, "\(report.left)")
        try session.compare()
    }

    // MARK: Opening

    @Test func openingMovesAsideWhatIsNotItsOwn() throws {
        let session = try DamagedSession()
        let shadow = session.directory + "/shadow"
        try Disk.write(shadow + "/notes.txt", Data("mine".utf8))
        // Of an object that is newer than the database: an older copy of it was put back.
        try Disk.write(shadow + "/4000000000ffffff.0", Data([1, 2, 3]))
        // What a crash leaves: writes that were never acknowledged.
        let unsynced = LayerID(
            node: NodeID(row: session.id("made/moved")), layer: 0
        ).fileName
        try Disk.write(shadow + "/" + unsynced, Data([1]))
        try session.compare()
        let aside = session.directory + "/lost+found-1/shadow"
        #expect(try Disk.names(aside) == ["4000000000ffffff.0", "notes.txt"])
        #expect(try Disk.contents(aside + "/notes.txt") == Data("mine".utf8))
        #expect(!Disk.exists(shadow + "/" + unsynced))
        #expect(session.engine.events.filter { $0.contains("lost+found-1") }.count == 2)
    }

    @Test func openingKeepsDataWhoseRowsAreDamaged() throws {
        let session = try DamagedSession()
        try session.sql("DELETE FROM content WHERE node = \(session.id("new"))")
        let size = try Disk.size(session.shadow("new"))
        try session.compare(harmed: ["new", "made/hard"])
        #expect(session.engine.events.contains { $0.contains("rowctl fsck") })
        try session.engine.close()
        #expect(try Disk.size(session.shadow("new")) == size)
    }

    @Test func dataPastTheEndIsRefusedNotCut() throws {
        let session = try DamagedSession()
        try session.set("new", "size = 5")
        let size = try Disk.size(session.shadow("new"))
        try session.engine.open()
        #expect(throws: Refusal(.io)) { try session.engine.lookup("new") }
        try session.engine.close()
        #expect(try Disk.size(session.shadow("new")) == size)
    }
}
