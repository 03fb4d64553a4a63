import Foundation
import ROWTestKit
import Testing

@testable import ROWProxy
@testable import ROWStatus

/// The page, the JSON and the metrics of a proxy at work say what `stat-session` says.
@Suite struct DocumentTests {
    @Test func allSayWhatTheSessionSays() async throws {
        let watched = try await Watched.start()
        try await watched.work()
        // A server that is away is tried again meanwhile: all must be of one moment.
        let (session, text, page) = try await poll(
            for: "documents of a time in which nothing happened", within: .seconds(60)
        ) {
            let session = try await watched.proxy.status()
            let (_, json) = try await watched.get("/status.json")
            let (_, text) = try await watched.get("/metrics")
            let (_, page) = try await watched.get("/")
            let after = try await watched.proxy.status()
            let isQuiet = try Self.object(of: session) == Self.object(of: after)
            return try isQuiet && Self.says(json, session) ? (session, text, page) : nil
        }

        let name = session.image
        let samples = Samples(text)
        for (side, counts) in [
            ("client", session.calls.client), ("main", session.calls.main),
            ("shadow", session.calls.shadow),
        ] {
            for (procedure, count) in counts {
                let labels = "image=\"\(name)\",proc=\"\(procedure)\",side=\"\(side)\""
                #expect(samples["rowfs_rpc_total{\(labels)}"] == Double(count), "\(labels)")
            }
        }
        let latency = try #require(session.latency)
        #expect(latency.client["READ"]?.calls == 3 && latency.main["READ"]?.calls ?? 0 > 0)
        for (side, times) in [("client", latency.client), ("main", latency.main)] {
            for (procedure, time) in times {
                let labels = "image=\"\(name)\",proc=\"\(procedure)\",side=\"\(side)\""
                let count = samples["rowfs_rpc_seconds_count{\(labels)}"]
                #expect(count == Double(time.calls), "\(labels)")
                #expect(samples["rowfs_rpc_seconds_bucket{\(labels),le=\"+Inf\"}"] == count)
                #expect(try #require(samples["rowfs_rpc_seconds_sum{\(labels)}"]) > 0)
            }
        }
        for (metric, value) in [
            ("main_received_bytes_total", session.bytes.fromMain),
            ("client_sent_bytes_total", session.bytes.toClient),
            ("client_received_bytes_total", session.bytes.fromClient),
            ("cache_hit_bytes_total", session.bytes.cacheHit),
            ("cache_damaged_total", session.cache?.damaged ?? -1), ("sessions", 1),
        ] {
            #expect(samples["rowfs_\(metric){image=\"\(name)\"}"] == Double(value), "\(metric)")
        }
        #expect(
            samples["rowfs_shadow_bytes{session=\"s\"}"] == Double(session.bytes.shadowStored))
        for server in session.main {
            let up = server.state == "connected" ? 1.0 : 0
            let labels = "image=\"\(name)\",server=\"\(server.server)\""
            #expect(samples["rowfs_main_up{\(labels)}"] == up)
            // Without a script, too.
            #expect(page.contains("<td>\(server.server)</td><td>\(server.state)</td>"))
        }
        #expect(Set(session.main.map(\.state)) == ["connected", "disconnected"])
        let reads = try #require(session.calls.client["READ"])
        #expect(page.contains("<td>READ</td><td>\(reads)</td>"))
        try await watched.stop()
    }

    /// As JSON, but for what grows with time, and for its events.
    private static func object(of session: ROWProxy.SessionStatus) throws -> NSDictionary {
        var all = try #require(
            object(String(decoding: JSONEncoder().encode(session), as: UTF8.self)))
        for key in timely { all[key] = nil }
        return NSDictionary(dictionary: all)
    }

    /// Whether the status in JSON has all of this, and its events.
    private static func says(_ json: String, _ session: ROWProxy.SessionStatus) throws -> Bool {
        let all = try #require(object(json))
        let image = try #require((all["images"] as? [[String: Any]])?.first)
        var told = try #require((image["sessions"] as? [[String: Any]])?.first)
        for key in timely { #expect(told.removeValue(forKey: key) != nil) }
        let events = (image["events"] as? [[String: Any]])?.map { $0["message"] as? String }
        return try NSDictionary(dictionary: told) == object(of: session)
            && events == session.events.map(\.message)
    }

    private static let timely = ["uptime_seconds", "events", "last_seen"]

    private static func object(_ json: String) -> [String: Any]? {
        try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    }

    @Test func whatOthersChooseMeansNothingToAPage() async throws {
        let watched = try await Watched.start()
        let hostile = "</noscript><script>alert(1)</script>\u{202e}\u{1b}[2J\"'&"
        watched.proxy.report(hostile)
        var status = await watched.source.status()
        status.host = hostile
        status.images[0].image = hostile
        status.images[0].sessions[0].session = hostile
        status.images[0].main[0].lastError = hostile
        status.leases = [LeaseStatus(image: hostile)]
        let page = StatusPage.html(status)
        // One script: ours. One end of what those see who run none.
        #expect(page.components(separatedBy: "<script").count == 2)
        #expect(page.components(separatedBy: "</noscript").count == 2)
        #expect(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
        #expect(!page.contains("\u{1b}") && page.contains("&quot;&#39;&amp;"))
        #expect(!StatusPage.script.contains("innerHTML") && !StatusPage.script.contains("eval"))
        try await watched.stop()
    }

    @Test func thePageNeedsNothingFromElsewhere() async throws {
        let watched = try await Watched.start()
        let (head, page) = try await watched.get("/")
        #expect(head.contains("Content-Security-Policy: default-src 'none'; script-src 'sha256-"))
        #expect(!page.contains("src=") && !page.contains("href=") && !page.contains("@import"))
        let urls = page.matches(of: /https?:\/\/[^" <]*/).map { String($0.output) }
        // The name of a language is none that anything is fetched from.
        #expect(Set(urls).subtracting(["http://www.w3.org/2000/svg"]).isEmpty)
        #expect(page.utf8.count < 64 << 10)
        try await watched.stop()
    }

    @Test func manyWhoAskCostNoMoreThanOne() async throws {
        let watched = try await Watched.start()
        let times = await withTaskGroup(of: Double.self) { group in
            for _ in 0..<50 { group.addTask { await watched.source.status().time } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        // All begin while the first looks or right after, unless this machine holds them up for seconds.
        #expect(Set(times).count < 10, "\(Set(times))")
        try await watched.stop()
    }

    @Test func twoHundredSessionsAreAnswered() async throws {
        let watched = try await Watched.start()
        try await watched.work()
        var status = await watched.source.status()
        let one = status.images[0].sessions[0]
        status.images[0].sessions = (0..<200).map { index in
            var session = one
            session.session = "lab\(index)"
            return session
        }
        for document in [StatusDocument.page, .json, .metrics] {
            let text = document.text(of: status)
            #expect(text.contains("lab199") && text.utf8.count < 1 << 20, "\(text.utf8.count)")
        }
        try await watched.stop()
    }
}
