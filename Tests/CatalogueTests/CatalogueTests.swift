import Foundation
import ROWTestKit
import Synchronization
import Testing

@testable import Catalogue

/// The same on both back ends.
@Suite(.serialized) struct CatalogueTests {
    @Test(arguments: BackEnd.allCases)
    func whatIsPublishedIsFoundElsewhere(backEnd: BackEnd) async throws {
        let test = try await TestCatalogue(backEnd)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher")
        let client = try await test.open("client")
        let nothing = await #expect(throws: CatalogueError.self) {
            try await client.resolve(ApplianceReference(appliance))
        }
        #expect(nothing?.code == .notFound)

        _ = try await publisher.publish(request("1"), keyFile: key)
        var second = request("2")
        second.manifestRoot = [UInt8](repeating: 7, count: 32)
        second.locations.append("nfs://other/x")
        _ = try await publisher.publish(second, keyFile: key)
        let found = try await client.resolve(ApplianceReference(appliance))
        #expect(found.version == "2" && found.sequence == 2 && found.leasePeriod == 600)
        #expect(found.manifestRoot == second.manifestRoot && found.warnings.isEmpty)
        #expect(found.locations == ["nfs://other/x", "nfs://server/images/2"])
        let first = try await client.resolve(ApplianceReference(appliance, version: "1"))
        #expect(first.sequence == 1 && first.locations == ["nfs://server/images/1"])

        // Other locations, the same version.
        second.locations = ["nfs://third/x"]
        _ = try await publisher.publish(second, keyFile: key)
        #expect(try await client.locations(of: "2", appliance) == ["nfs://third/x"])
        second.manifestRoot = nil
        let other = await #expect(throws: CatalogueError.self) {
            try await publisher.publish(second, keyFile: key)
        }
        #expect(other?.code == .exists)

        try await publisher.retire("2", of: appliance)
        #expect(try await client.resolve(ApplianceReference(appliance)).version == "1")
        let retired = try await client.resolve(ApplianceReference(appliance, version: "2"))
        #expect(retired.isRetired && !retired.warnings.isEmpty)
        try await publisher.retire("1", of: appliance)
        let all = await #expect(throws: CatalogueError.self) {
            try await client.resolve(ApplianceReference(appliance))
        }
        #expect(all?.code == .retired)
        await publisher.close()
        await client.close()
    }

    @Test(arguments: BackEnd.allCases)
    func leasesAreCountedReleasedAndRunOut(backEnd: BackEnd) async throws {
        let test = try await TestCatalogue(backEnd)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher")
        _ = try await publisher.publish(request("1", leasePeriod: 3), keyFile: key)
        var keepers: [LeaseKeeper] = []
        var clients: [Catalogue] = []
        for number in 0..<2 {
            let client = try await test.open("client\(number)")
            let found = try await client.resolve(ApplianceReference(appliance))
            let (renewals, continuation) = AsyncStream<Void>.makeStream()
            keepers.append(
                try LeaseKeeper.start(client, found) { event in
                    if case .renewed = event { continuation.yield() }
                })
            // The third time it is another record than the first.
            var count = 0
            for await _ in renewals {
                count += 1
                if count == 3 { break }
            }
            clients.append(client)
        }
        let reference = try ApplianceReference(appliance, version: "1")
        // What is put is with all nodes in a moment, and not at once.
        func waitForSharers(_ count: Int) async throws {
            _ = try await poll(for: "\(count) sharers", within: .seconds(60)) {
                let sharers = try await publisher.sharers(of: reference)
                let isRight =
                    sharers.clients.count == count && sharers.leases == count
                    && sharers.incompleteness == nil
                return isRight ? true : nil
            }
        }
        try await waitForSharers(2)
        await keepers[0].stop()
        try await waitForSharers(1)
        // Nobody renews it from here on.
        await clients[1].close()
        _ = try await poll(for: "end of the lease", within: .seconds(60)) {
            try await publisher.sharers(of: reference).clients.isEmpty ? true : nil
        }
        await keepers[1].stop(within: .milliseconds(100))
        await clients[0].close()
        await publisher.close()
    }

    @Test(arguments: BackEnd.allCases)
    func hostileValuesAreNeverUsed(backEnd: BackEnd) async throws {
        let test = try await TestCatalogue(backEnd)
        let (appliance, keyFile) = try test.makeKey("app")
        let key = try SigningKey(file: keyFile)
        let publisher = try await test.open("publisher")
        _ = try await publisher.publish(request("1"), keyFile: keyFile)
        _ = try await publisher.publish(request("2"), keyFile: keyFile)
        let attacker = try await test.open("attacker")
        let now = attacker.now()
        let table = CatalogueKey.versions(of: appliance)
        let evil = SigningKey()
        let newer = versionRecord(appliance, "3", sequence: 3, issued: now)
        var forged = try SignedRecord(newer, by: key).bytes
        forged[50] ^= 1
        let values = [
            try SignedRecord(newer, by: evil).bytes, forged,
            try SignedRecord(
                versionRecord(appliance, "3", sequence: 3, issued: now - 1000), by: key
            ).bytes,
            try SignedRecord(
                versionRecord(appliance, "3", sequence: 3, issued: now, life: 1 << 40), by: key
            ).bytes,
            // A replay of what version 2 once was.
            try SignedRecord(
                versionRecord(appliance, "2", sequence: 1, issued: now - 100), by: key
            ).bytes,
            [UInt8](repeating: 9, count: 20_000), [], Array("{\"id\":1}".utf8),
        ]
        for value in values { try await attacker.putJunk(value, table) }
        let seed = Seed()
        print("flood: \(seed)")
        var generator = seed.makeGenerator()
        for number in 0..<1000 {
            // Every second one costs the look at a signature.
            var junk = forged
            if number % 2 == 0 {
                junk = (0..<1024).map { _ in UInt8.random(in: 0...255, using: &generator) }
            } else {
                for index in 44..<104 { junk[index] = .random(in: 0...255, using: &generator) }
            }
            try await attacker.putJunk(junk, table)
        }
        let client = try await test.open("client")
        let before = try ProcessMemory.residentBytes(of: getpid())
        let began = ContinuousClock.now
        let found = try await client.resolve(ApplianceReference(appliance))
        let taken = ContinuousClock.now - began
        let grown = try ProcessMemory.residentBytes(of: getpid()) - before
        print("resolved through 1000 junk values (\(backEnd)) in \(taken), \(grown >> 10) KiB more")
        print(found.warnings.joined(separator: "; "))
        #expect(found.version == "2" && found.sequence == 2)
        #expect(found.warnings.contains { $0.hasPrefix("ignored in the catalogue") })
        #expect(found.warnings.contains { $0.contains("wrongly signed") })
        #expect(taken < .seconds(20) && grown < 64 << 20, "\(seed)")
        await client.close()
        await attacker.close()
        await publisher.close()
    }

    @Test func aCatalogueThatHidesTheNewestIsNotBelieved() async throws {
        let test = try await TestCatalogue(.file)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher")
        let reference = try ApplianceReference(appliance)
        _ = try await publisher.publish(request("1"), keyFile: key)
        let old = try await test.open("publisher", text: test.folder.path("old.sqlite"))
        _ = try await old.publish(request("1"), keyFile: key)
        _ = try await publisher.publish(request("2"), keyFile: key)
        let client = try await test.open("client")
        #expect(try await client.resolve(reference).version == "2")
        await client.close()

        let misled = try await test.open("client", text: test.folder.path("old.sqlite"))
        let error = await #expect(throws: CatalogueError.self) {
            try await misled.resolve(reference)
        }
        #expect(error?.code == .rolledBack && error?.message.contains("version 2") == true)
        try await misled.forgetSeen(appliance)
        #expect(try await misled.resolve(reference).version == "1")
        for catalogue in [misled, old, publisher] { await catalogue.close() }
    }

    @Test func manyProcessesMayUseOneFileAtOnce() async throws {
        let test = try await TestCatalogue(.file)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher")
        _ = try await publisher.publish(request("1"), keyFile: key)
        let program = try ProjectPaths.builtProgram("rowctl")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<24 {
                group.addTask {
                    try await runTool(
                        program,
                        [
                            "appliance", "resolve", "\(appliance)", "--catalogue", test.text,
                            "--state", test.folder.path("shared\(number % 8)"),
                        ])
                }
            }
            try await group.waitForAll()
        }
        await publisher.close()
    }

    @Test func aFileThatIsNoCatalogueIsRefused() async throws {
        let test = try await TestCatalogue(.file)
        let path = try test.folder.file("text", String(repeating: "no database ", count: 100))
        for text in [path, "/proc/none/x", "", "dht:", "dht:host", "dht:::1:4222", "dht:h:0"] {
            await #expect(throws: CatalogueError.self) {
                try await test.open("client", text: text).close()
            }
        }
    }
}
