import Foundation
import GRDB
import Glibc
import ROWTestKit
import Testing

@testable import Catalogue

/// A distributed catalogue whose nodes come, go and die.
@Suite(.serialized) struct DHTNetworkTests {
    @Test func tenNodesGoOnWithoutTheFirstAndWithOthers() async throws {
        let test = try await TestCatalogue(.dht, nodes: 8)
        let network = try #require(test.network)
        let (appliance, key) = try test.makeKey("app")
        let reference = try ApplianceReference(appliance)
        // With these two there are ten.
        let publisher = try await test.open("publisher", text: await network.catalogue())
        // What is put before nodes know each other is with few of them.
        try await wait(for: publisher, toKnow: 8, about: appliance)
        _ = try await publisher.publish(request("1"), keyFile: key)
        let client = try await test.open("client", text: await network.catalogue(bootstrap: [7]))
        try await wait(for: client, toKnow: 4, about: appliance)
        let began = ContinuousClock.now
        #expect(try await client.resolve(reference).version == "1")
        print("resolved on another node in \(ContinuousClock.now - began)")

        try await network.kill(0)
        #expect(try await client.resolve(reference).version == "1")
        let late = try await test.open("late", text: await network.catalogue(bootstrap: [3, 4]))
        try await wait(for: late, toKnow: 4, about: appliance)
        #expect(try await late.resolve(reference).version == "1")

        for _ in 0..<3 { try await network.join() }
        try await network.kill(1)
        try await network.kill(2)
        _ = try await publisher.publish(request("2"), keyFile: key)
        let last = await network.count - 1
        let newcomer = try await test.open(
            "newcomer", text: await network.catalogue(bootstrap: [last]))
        try await wait(for: newcomer, toKnow: 4, about: appliance)
        for catalogue in [newcomer, client] {
            #expect(try await catalogue.resolve(reference).version == "2")
        }
        for catalogue in [newcomer, late, client, publisher] { await catalogue.close() }
    }

    /// A node that has just come knows the one that it came by, and those which that knows a while later.
    private func wait(
        for catalogue: Catalogue, toKnow count: Int, about appliance: Appliance
    ) async throws {
        let began = ContinuousClock.now
        let known = try await poll(for: "node that knows \(count)", within: .seconds(180)) {
            let nodes = await catalogue.read(.versions(of: appliance)).nodes ?? 0
            return nodes >= count ? nodes : nil
        }
        print("knows \(known) nodes after \(ContinuousClock.now - began)")
    }

    @Test func whatACutOffPublisherCannotReadIsKept() async throws {
        let test = try await TestCatalogue(.dht, nodes: 4)
        let network = try #require(test.network)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher", timeout: .seconds(8))
        var first = request("1", leasePeriod: 1)
        first.life = 3600
        _ = try await publisher.publish(first, keyFile: key)
        _ = try await publisher.publish(request("2", leasePeriod: 1), keyFile: key)
        // Quiet for long enough, so that nothing but the partition is in the way.
        _ = try await poll(for: "end of the wait", within: .seconds(60)) {
            let results = try await publisher.collect(isDryRun: true, removesTrees: false)
            return results.first?.outcome == .collected ? true : nil
        }
        try await network.killAll()
        let cutOff = try await publisher.collect(isDryRun: false, removesTrees: false)
        guard case .kept(.unreadable(let why)) = cutOff.first?.outcome else {
            Issue.record("\(cutOff)")
            return
        }
        print("kept: \(why)")
        let own = try await publisher.memory.publications(of: appliance)
        #expect(own.map(\.isRetired) == [false, false])
        let quietSince = try await publisher.memory.read { db in
            try Int64.fetchAll(
                db,
                sql: "SELECT quietSince FROM publication WHERE version = '1'"
                    + " AND quietSince IS NOT NULL")
        }
        #expect(quietSince.isEmpty)
        await publisher.close()
    }

    @Test func aNodeThatIsKilledIsStartedAgain() async throws {
        let test = try await TestCatalogue(.dht)
        let (appliance, key) = try test.makeKey("app")
        let publisher = try await test.open("publisher")
        _ = try await publisher.publish(request("1"), keyFile: key)
        let before = try children(of: test)
        #expect(before.count == 1)
        for id in before { kill(id, SIGKILL) }
        #expect(try await publisher.resolve(ApplianceReference(appliance)).version == "1")
        let after = try children(of: test)
        #expect(after.count == 1 && after != before)
        await publisher.close()
        #expect(try children(of: test).isEmpty)
    }

    @Test func aProgramThatDoesNotAnswerOrSaysNonsenseIsAnErrorInTime() async throws {
        let folder = try TemporaryDirectory("rowfs-dht")
        let appliance = try Appliance(name: "app", key: SigningKey().fingerprint)
        for script in [
            "exec sleep 1000", "exit 3", "echo no JSON; echo '{}'; exec cat",
            "while :; do printf 'x%.0s' 0 1 2 3 4 5 6 7 8 9; done",
        ] {
            let path = try folder.file("program", "#!/bin/sh\n\(script)\n")
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
            let store = try DHTStore(DHTSettings(parsing: "dht:h:1", port: 0, program: path))
            let began = ContinuousClock.now
            let reading = await store.get(
                .versions(of: appliance), now: 0, within: .milliseconds(500))
            #expect(reading.incompleteness != nil, "\(script)")
            #expect(ContinuousClock.now - began < .seconds(8), "\(script)")
            await store.close()
        }
    }

    /// Processes of rowctl-dht that this one has started for a catalogue.
    private func children(of test: TestCatalogue) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }
            .filter { id in
                guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
                    let end = text.lastIndex(of: ")")
                else { return false }
                let command = try? String(contentsOfFile: "/proc/\(id)/cmdline", encoding: .utf8)
                guard command?.contains(test.text.dropFirst("dht:".count)) == true else {
                    return false
                }
                let fields = text[end...].split(separator: " ")
                return text.contains("(rowctl-dht)") && fields[1] != "Z"
                    && fields[2] == "\(getpid())"
            }
    }
}
