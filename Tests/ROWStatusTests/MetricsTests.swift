import Foundation
import ROWTestKit
import Testing

@testable import ROWStatus

/// What Prometheus is told, and what is told to Prometheus and Grafana about it.
@Suite struct MetricsTests {
    /// Debian's, without the server that comes with it.
    private static func promtool(_ arguments: [String], input: String? = nil) async throws -> String
    {
        let folder = try await runTool(
            ProjectPaths.labScript("fetch-package"), ["prometheus"], within: .seconds(300))
        let program =
            folder.trimmingCharacters(in: .whitespacesAndNewlines) + "/usr/bin/promtool"
        guard let input else { return try await runTool(program, arguments) }
        return try await runTool(
            "sh", ["-c", "exec \"$@\" <\"$0\"", input, program] + arguments)
    }

    private static let monitoring = ProjectPaths.root.appendingPathComponent(
        "packaging/monitoring")

    @Test func promtoolFindsNothingWrongWithMetrics() async throws {
        var lease = LeaseStatus(image: "appliance://debian@key/1")
        lease.renew(at: Date().timeIntervalSince1970, period: 600)
        var failing = LeaseStatus(image: "appliance://\"\\\n@key/2")
        failing.lastError = "no"
        // Another session has a lease on the same, and less luck with it.
        var other = LeaseStatus(image: lease.image)
        other.renew(at: Date().timeIntervalSince1970, period: 300)
        other.lastError = "no"
        let watched = try await Watched.start(leases: [lease, failing, other])
        try await watched.work()
        let (head, text) = try await watched.get("/metrics")
        #expect(head.contains("Content-Type: text/plain; version=0.0.4"))
        let file = try watched.folder.file("metrics", text)
        #expect(try await Self.promtool(["check", "metrics"], input: file) == "")
        let samples = Samples(text)
        #expect(samples.repeated == [])
        #expect(samples["rowfs_image_leases"] == 1)
        #expect(samples["rowfs_image_lease_failing{image=\"\(lease.image)\"}"] == 1)
        let expiry = samples["rowfs_image_lease_expiry_timestamp_seconds{image=\"\(lease.image)\"}"]
        #expect(try #require(expiry) <= Date().timeIntervalSince1970 + 300)
        #expect(samples["rowfs_image_lease_failing{image=\"appliance://\\\"\\\\\\n@key/2\"}"] == 1)
        #expect(samples["rowfs_build_info{version=\"1.2.3\"}"] == 1)
        #expect(try #require(samples["rowfs_state_disk_bytes"]) > 0)
        #expect(try #require(samples["process_resident_memory_bytes"]) > 0)
        // So that a mistake would be found.
        let wrong = try watched.folder.file("wrong", text + "rowfs_sessions{image=\"\n")
        await #expect(throws: ToolFailure.self) {
            try await Self.promtool(["check", "metrics"], input: wrong)
        }
        try await watched.stop()
    }

    @Test func rulesAreRightAndFire() async throws {
        let rules = Self.monitoring.appendingPathComponent("rowfs.rules.yml").path
        _ = try await Self.promtool(["check", "rules", "--lint-fatal", rules])
        let tests = ProjectPaths.root.appendingPathComponent(
            "Tests/ROWStatusTests/rules.test.yml")
        #expect(try await Self.promtool(["test", "rules", tests.path]).contains("SUCCESS"))
        // None is left out there.
        let names = try String(contentsOfFile: rules, encoding: .utf8)
            .matches(of: /alert: (\w+)/).map { String($0.output.1) }
        let tested = Set(
            try String(contentsOf: tests, encoding: .utf8)
                .matches(of: /alertname: (\w+)/).map { String($0.output.1) })
        #expect(names.count >= 12 && Set(names) == tested)
    }

    @Test func rulesAndBoardNameOnlyMetricsThatThereAre() async throws {
        let watched = try await Watched.start()
        let there = Samples(try await watched.get("/metrics").body).names
        try await watched.stop()
        #expect(there.count >= 40)
        for file in ["rowfs.rules.yml", "rowfs.json"] {
            let text = try String(
                contentsOf: Self.monitoring.appendingPathComponent(file), encoding: .utf8)
            let named = Set(text.matches(of: /\b(?:rowfs|process)_\w+/).map { String($0.output) })
            #expect(named.count > 8 && named.isSubset(of: there), "\(named.subtracting(there))")
        }
    }

    @Test func theBoardIsOneOfGrafana() throws {
        struct Board: Decodable {
            struct Panel: Decodable {
                struct Place: Decodable {
                    let x: Int
                    let w: Int
                }
                struct Target: Decodable {
                    let expr: String
                }

                let id: Int
                let title: String
                let gridPos: Place
                let targets: [Target]
            }

            let title: String
            let uid: String
            let schemaVersion: Int
            let panels: [Panel]
        }
        let data = try Data(contentsOf: Self.monitoring.appendingPathComponent("rowfs.json"))
        let board = try JSONDecoder().decode(Board.self, from: data)
        #expect(board.uid == "rowfs" && board.schemaVersion >= 36 && board.panels.count >= 12)
        #expect(Set(board.panels.map(\.id)).count == board.panels.count)
        for panel in board.panels {
            #expect(!panel.targets.isEmpty && panel.targets.allSatisfy { !$0.expr.isEmpty })
            #expect(panel.gridPos.x + panel.gridPos.w <= 24, "\(panel.title)")
        }
    }
}
