import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Damage of every kind is named, put right without loss of what is intact, and gone then.
@Suite struct SessionCheckTests {
    @Test func aSessionInOrderIsClean() throws {
        let session = try DamagedSession()
        let before = try session.rows()
        #expect(try session.check().findings == [])
        let report = try session.check(isRepairing: true)
        #expect(report.findings == [] && report.isClean && report.lostAndFound == nil)
        #expect(try session.rows() == before)
        try session.compare()
    }

    @Test(arguments: PlantedDamage.all)
    func damageIsNamedAndRepaired(damage: PlantedDamage) throws {
        let session = try DamagedSession()
        try damage.plant(session)
        let database = try Disk.contents(session.database)
        let found = try session.check()
        #expect(found.findings.contains { $0.kind == damage.kind }, "\(found.findings)")
        #expect(found.left == found.findings)
        #expect(try Disk.contents(session.database) == database)

        let report = try session.check(isRepairing: true)
        #expect(report.findings.contains { $0.kind == damage.kind })
        #expect(report.isClean, "\(report.findings)")
        let again = try session.check(isRepairing: true)
        // Without its epoch the session is of another image database, until it is opened.
        #expect(again.findings.allSatisfy { $0.kind == .imageOfAnotherEpoch }, "\(again.findings)")
        #expect(again.lostAndFound == nil)
        try session.compare(harmed: damage.harmed)
        // And after some use.
        try session.engine.create(.root, "later")
        try session.engine.close()
        #expect(try session.check().findings == [])
    }
}
