import Testing

@testable import Catalogue

@Suite struct CollectionRulesTests {
    private func decide(
        retired: Bool = false, superseded: Bool = true,
        _ observation: CollectionRules.Observation = .quiet, quietSince: Int64? = 1000,
        now: Int64 = 1200
    ) -> CollectionRules.Decision {
        CollectionRules.decide(
            isRetired: retired, isSuperseded: superseded, observation, quietSince: quietSince,
            leasePeriod: 100, now: now)
    }

    @Test func onlyWhatWasQuietForTwoLeasePeriodsGoes() {
        #expect(decide() == .collect)
        #expect(decide(retired: true, superseded: false) == .collect)
        #expect(decide(now: 1199) == .keep(.notQuietForLong(seconds: 199, needed: 200)))
        #expect(decide(quietSince: nil) == .keep(.notQuietForLong(seconds: 0, needed: 200)))
        #expect(decide(superseded: false) == .keep(.current))
        #expect(decide(.leased(clients: 1)) == .keep(.leased(clients: 1)))
        #expect(decide(.unreadable("x")) == .keep(.unreadable("x")))
        #expect(decide(.cutOff("x")) == .keep(.unreadable("x")))
    }

    @Test func aLeaseOrAnUnreadableCatalogueStartsTheWaitAgain() {
        #expect(CollectionRules.quietSince(nil, isQuiet: true, now: 5) == 5)
        #expect(CollectionRules.quietSince(3, isQuiet: true, now: 5) == 3)
        #expect(CollectionRules.quietSince(3, isQuiet: false, now: 5) == nil)
        #expect(CollectionRules.quietSince(9, isQuiet: true, now: 5) == 5)
    }

    @Test func fewerThanHalfOfTheNodesIsAPartition() {
        #expect(CollectionRules.partition(nodes: 5, most: 10) == nil)
        #expect(CollectionRules.partition(nodes: 4, most: 10) != nil)
        #expect(CollectionRules.partition(nodes: 0, most: 0) == nil)
    }
}

@Suite struct VersionHistoryTests {
    private let appliance: Appliance

    init() throws { appliance = try Appliance(name: "app", key: SigningKey().fingerprint) }

    private func offered(_ sequence: UInt64, isOver: Bool = false) -> Record {
        versionRecord(
            appliance, "v\(sequence)", sequence: sequence, issued: 10, isOver: isOver)
    }

    private func seen(_ sequence: UInt64, isRetired: Bool = false) -> SeenVersion {
        SeenVersion(version: "v\(sequence)", sequence: sequence, isRetired: isRetired)
    }

    @Test func theNewestThatIsNotRetiredCounts() {
        let history = VersionHistory([offered(1), offered(3, isOver: true), offered(2)], seen: [])
        #expect(history.newest?.version == "v2")
        #expect(history.offered.map(\.sequence) == [3, 2, 1])
    }

    @Test func whatWasSeenBeforeMustBeThereOrRetired() {
        #expect(VersionHistory([offered(1)], seen: [seen(2)]).rolledBackFrom == seen(2))
        #expect(VersionHistory([], seen: [seen(2)]).rolledBackFrom == seen(2))
        #expect(VersionHistory([offered(3)], seen: [seen(2)]).rolledBackFrom == nil)
        #expect(
            VersionHistory([offered(1)], seen: [seen(2, isRetired: true)]).rolledBackFrom == nil)
        let retired = VersionHistory([offered(1), offered(2, isOver: true)], seen: [seen(2)])
        #expect(retired.rolledBackFrom == nil && retired.newest?.version == "v1")
    }

    @Test func aTombstoneThatWasSeenIsNotTakenBackByAReplay() {
        let history = VersionHistory([offered(1), offered(2)], seen: [seen(2, isRetired: true)])
        #expect(history.newest?.version == "v1")
        #expect(history["v2"]?.isRetired == true)
    }
}

@Suite struct RenewalTests {
    @Test func theSameBytesArePutUntilHalfOfTheLifeIsOver() throws {
        let record = versionRecord(
            try Appliance(name: "app", key: SigningKey().fingerprint), issued: 1000)
        #expect(!Renewal.mustSignAnew(record, now: 1299))
        #expect(Renewal.mustSignAnew(record, now: 1300))
        #expect(Renewal.mustSignAnew(record, now: 999))
    }

    @Test func pausesVaryAndAreShorterThanAStoreRemembers() {
        func pause(_ jitter: Double, _ interval: Duration?) -> Duration {
            Renewal.pause(life: 600, refreshInterval: interval, jitter: jitter)
        }
        #expect(pause(0, nil) == .seconds(150) && pause(1, nil) == .seconds(200))
        #expect(pause(1, .seconds(180)) == .seconds(180))
    }
}
