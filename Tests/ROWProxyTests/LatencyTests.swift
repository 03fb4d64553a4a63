import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

@testable import ROWProxy

/// How long calls took, and how that is counted.
@Suite struct LatencyTests {
    @Test func quantilesAreAtMostAnEighthTooHighAndNeverTooLow() {
        let seed = Seed()
        var random = seed.makeGenerator()
        for _ in 0..<20 {
            var histogram = LatencyHistogram()
            // From a microsecond to a minute, all sizes alike.
            let times = (0..<1000).map { _ in
                Int64(exp(Double.random(in: log(1e3)...log(60e9), using: &random)))
            }
            for time in times { histogram.add(.nanoseconds(time)) }
            let sorted = times.sorted()
            for part in [0.001, 0.5, 0.9, 0.99, 1] {
                let exact = sorted[Int((part * 1000).rounded(.up)) - 1]
                let found = histogram.quantile(part)
                // Buckets of up to 8 µs are a microsecond wide.
                #expect(
                    found >= exact && found <= exact + exact / 8 + 1000,
                    "\(part): \(found), not \(exact), \(seed)")
            }
            #expect(histogram.maximumNanoseconds == sorted.last, "\(seed)")
            #expect(histogram.sumNanoseconds == times.reduce(0, +), "\(seed)")
        }
    }

    @Test func whatIsNoLongerThanAPowerOfTwoIsCountedExactly() {
        var histogram = LatencyHistogram()
        for power in 0...25 {
            let bound = Int64(1) << power * 1000
            histogram.add(.nanoseconds(bound))
            histogram.add(.nanoseconds(bound + 1))
        }
        for power in 3...25 {
            // Both of each power below, and the one that is exactly as long.
            #expect(histogram.count(upToMicroseconds: power) == 2 * power + 1)
        }
    }

    @Test func extremesAreCounted() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == 0 && histogram.count(upToMicroseconds: 25) == 0)
        histogram.add(.nanoseconds(-5))
        histogram.add(.nanoseconds(0))
        histogram.add(.hours(1000), count: 3)
        #expect(histogram.count == 5 && histogram.count(upToMicroseconds: 3) == 2)
        #expect(histogram.count(upToMicroseconds: 25) == 2)
        #expect(histogram.quantile(0.99) == TimeAmount.hours(1000).nanoseconds)
        var other = LatencyHistogram()
        other.merge(histogram)
        other.merge(histogram)
        #expect(other.count == 10 && other.quantile(0.1) <= 1000)
    }

    @Test func everyAnswerOfAClientIsTimed() async throws {
        let served = try await Served.directory()
        let file = try await served.handle("hello")
        for _ in 0..<50 {
            _ = try await served.client.getattr(file).success
            _ = try await served.text(of: file)
        }
        let made = try await served.create("new", "text")
        _ = try await served.client.commit(made)
        _ = try await served.client.readdirplus(
            served.root, dircount: 4096, maxcount: 32_768)
        let status = try await served.proxy.status()
        let latency = try #require(status.latency)
        #expect(latency.client.mapValues(\.calls) == status.calls.client)
        #expect(status.calls.client["GETATTR"] ?? 0 >= 50 && status.calls.client["CREATE"] == 1)
        for (name, times) in latency.client {
            #expect(times.maximumMS > 0, "\(name)")
            #expect(
                times.p50MS <= times.p90MS && times.p90MS <= times.p99MS
                    && times.p99MS <= times.maximumMS, "\(name)")
        }
        // A directory of this machine is not asked over a network.
        #expect(latency.main.isEmpty)
        try await served.stop()
    }

    @Test func whatAServerTakesIsInWhatItsClientsWaitFor() async throws {
        let main = try await SimulatedNFSServer.start(SimulatedTree.sample)
        let served = try await Served.remote(main) { $0.cacheSize = ByteSize(bytes: 0) }
        let file = try await served.handle("hello")
        main.setDelay(.milliseconds(80))
        _ = try await served.text(of: file)
        let latency = try #require(try await served.proxy.status().latency)
        // The first READ of all.
        let (client, server) = (latency.client["READ"], latency.main["READ"])
        #expect(client?.calls == 1 && server?.calls == 1)
        #expect(try #require(server).maximumMS >= 80)
        #expect(try #require(client).maximumMS >= #require(server).maximumMS)
        try await served.stop()
        try await main.stop()
    }

    @Test func imageStatusHasEndedSessionsToo() async throws {
        let served = try await Served.directory()
        var options = served.configuration.sessionOptions
        options.name = "other"
        let imageLoop = served.proxy.imageLoop
        let added = options
        try await withCheckedThrowingContinuation {
            (done: CheckedContinuation<Void, any Error>) in
            imageLoop.eventLoop.execute {
                imageLoop.value?.add(added) { result in done.resume(with: result.map { _ in () }) }
            }
        }
        let client = try await served.mount("other")
        _ = try await client.create("file", "0123456789")
        await client.close()
        let before = try await imageStatus(served.proxy)
        #expect(before.sessions.map(\.session) == ["other", "s"])
        #expect(before.calls.client["CREATE"] == 1 && before.bytes.fromClient == 10)
        #expect(before.calls.shadow["WRITE"] == 1)
        try await withCheckedThrowingContinuation {
            (done: CheckedContinuation<Void, any Error>) in
            imageLoop.eventLoop.execute {
                guard let loop = imageLoop.value, let session = loop.sessions["other"] else {
                    return done.resume(throwing: NotThere())
                }
                loop.remove(session) { error in
                    if let error { done.resume(throwing: error) } else { done.resume() }
                }
            }
        }
        let after = try await imageStatus(served.proxy)
        #expect(after.sessions.map(\.session) == ["s"])
        #expect(after.calls.client["CREATE"] == 1 && after.bytes.fromClient == 10)
        #expect(after.calls.shadow["WRITE"] == 1)
        #expect(after.latency.client["CREATE"]?.calls == 1)
        try await served.stop()
        guard case .stopped = await served.proxy.imageStatus(within: .seconds(20)) else {
            Issue.record("a proxy that has been stopped tells of its image")
            return
        }
    }

    private struct NotThere: Error {}

    private func imageStatus(_ proxy: Proxy) async throws -> ImageStatus {
        guard case .status(let status) = await proxy.imageStatus(within: .seconds(20)) else {
            throw NotThere()
        }
        return status
    }

    @Test func filesOfOlderVersionsAreRead() async throws {
        let served = try await Served.directory()
        var json = try #require(
            JSONSerialization.jsonObject(
                with: JSONEncoder().encode(try await served.proxy.status())) as? [String: Any])
        #expect(json.removeValue(forKey: "latency") != nil)
        let old = try JSONDecoder().decode(
            ROWProxy.SessionStatus.self, from: JSONSerialization.data(withJSONObject: json))
        #expect(old.latency == nil && old.session == "s")
        try await served.stop()
    }
}
