import Foundation
import ROWTestKit
import Testing

@testable import Catalogue

/// `rowctl appliance` as people use it.
@Suite(.serialized) struct ApplianceVerbTests {
    private struct Machine {
        let test: TestCatalogue
        let name: String

        var options: [String] {
            ["--catalogue", test.text, "--state", test.folder.path(name)]
        }

        func result(_ words: String...) async throws -> Tool.Result {
            try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), ["appliance"] + words + options)
        }

        @discardableResult
        func run(_ words: String...) async throws -> String {
            try await RowctlProcess.run(["appliance"] + words + options)
                .trimmingCharacters(in: .newlines)
        }

        /// Starts a verb that stays, and waits for its ready line.
        func start(_ words: String...) async throws -> ChildProcess {
            let child = try ChildProcess(
                try ProjectPaths.builtProgram("rowctl"), ["appliance"] + words + options)
            _ = try await poll(for: "ready line of \(words)", within: .seconds(60)) {
                child.output.contains("ready: ") ? true : nil
            }
            return child
        }

        func sharers(_ reference: String) async throws -> Int {
            struct Output: Decodable { let clients: [String] }
            let text = try await run("sharers", reference, "--json")
            return try JSONDecoder().decode(Output.self, from: Data(text.utf8)).clients.count
        }

        func reason(_ version: String, _ words: String...) async throws -> String? {
            struct Entry: Decodable {
                let version: String
                let reason: String?
            }
            let text = try await RowctlProcess.run(["appliance", "gc", "--json"] + words + options)
            let entries = try JSONDecoder().decode([Entry].self, from: Data(text.utf8))
            return try #require(entries.first { $0.version == version }).reason
        }
    }

    private func machine(_ test: TestCatalogue, _ name: String) -> Machine {
        Machine(test: test, name: name)
    }

    @Test(arguments: BackEnd.allCases)
    func aVersionGoesWhenItsLastClientIsGone(backEnd: BackEnd) async throws {
        // Many, beside those that the verbs below are for a while.
        let test = try await TestCatalogue(backEnd, nodes: 6)
        let publisher = machine(test, "publisher")
        let appliance = try await RowctlProcess.run(
            ["appliance", "keygen", "app", "--state", test.folder.path("publisher")]
        ).trimmingCharacters(in: .newlines)
        let tree = try test.folder.directory("tree")
        _ = try test.folder.file("tree/file", "data")
        try await publisher.run(
            "publish", "app", "1", "--at", "nfs://h/1", "--tree", tree, "--lease", "8",
            "--expires", "600")
        var clients: [ChildProcess] = []
        for number in 0..<3 {
            clients.append(
                try await machine(test, "client\(number)").start("lease", appliance))
        }
        try await publisher.run(
            "publish", "app", "2", "--at", "nfs://h/2", "--lease", "8", "--expires", "600")
        let announcer = try await publisher.start("announce")
        // What is put is with all nodes in a moment, and not at once.
        func waitForSharers(_ count: Int) async throws {
            _ = try await poll(for: "\(count) sharers", within: .seconds(120)) {
                try await publisher.sharers("\(appliance)/1") == count ? true : nil
            }
        }
        try await waitForSharers(3)
        #expect(try await publisher.sharers(appliance) == 0)
        #expect(try await publisher.reason("1") == "leased")
        #expect(try await publisher.reason("2") == "current")

        #expect(try await clients[0].terminate() == .exited(0))
        try await waitForSharers(2)
        try await clients[1].kill()
        try await clients[2].kill()
        let reasons = ReasonLog()
        _ = try await poll(for: "end of the leases", within: .seconds(120)) {
            await reasons.add(try await publisher.reason("1", "--dry-run") ?? "collected")
            return try await publisher.sharers("\(appliance)/1") == 0 ? true : nil
        }
        _ = try await poll(for: "collection", within: .seconds(180)) {
            let reason = try await publisher.reason("1", "--dry-run", "--remove-trees")
            await reasons.add(reason ?? "collected")
            return reason == nil ? true : nil
        }
        #expect(await reasons.all == ["leased", "waiting", "collected"])
        #expect(FileManager.default.fileExists(atPath: "\(tree)/file"))
        let text = try await publisher.run("gc", "--remove-trees")
        #expect(text.contains("collected version 1 of \(appliance), with its tree \(tree)"))
        #expect(!FileManager.default.fileExists(atPath: tree))
        let gone = try await machine(test, "client0").result("resolve", "\(appliance)/1")
        #expect(gone.status == .exited(1) && gone.errors.contains("retired"), "\(gone.errors)")
        #expect(
            try await machine(test, "client0").run("resolve", appliance)
                == "appliance://\(appliance)/2\nnfs://h/2")
        #expect(try await announcer.terminate() == .exited(0))
    }

    private actor ReasonLog {
        private(set) var all: [String] = []

        func add(_ reason: String) { if all.last != reason { all.append(reason) } }
    }

    @Test func versionsAreListedAndRetired() async throws {
        let test = try await TestCatalogue(.file)
        let publisher = machine(test, "publisher")
        let (appliance, _) = try test.makeKey("app")
        let root = String(repeating: "0f", count: 32)
        try await publisher.run("publish", "app", "1", "--at", "nfs://h/1", "--manifest", root)
        try await publisher.run("publish", "app", "2", "--at", "nfs://h/2")
        #expect(try await publisher.run("retire", "app", "2").contains("retired version 2"))
        let client = machine(test, "client")
        let lines = try await client.run("versions", "\(appliance)").split(separator: "\n")
        #expect(lines.count == 3 && lines[1].contains("retired") && lines[2].contains(root))
        let json = try await client.run("resolve", "appliance://\(appliance)", "--json")
        #expect(json.contains("\"manifest\" : \"\(root)\"") && json.contains("\"sequence\" : 1"))
    }

    @Test func failuresAreExplainedInOneLine() async throws {
        let test = try await TestCatalogue(.file)
        let machine = machine(test, "machine")
        let (appliance, file) = try test.makeKey("app", "machine")
        let cases: [(Tool.Result, Int32, String)] = [
            (try await machine.result("resolve", "app"), 64, "appliance://NAME@KEY"),
            (try await machine.result("resolve", "\(appliance)"), 1, "there is no app@"),
            (try await machine.result("publish", "app", "1", "--at", "x"), 64, "nfs://"),
            (
                try await machine.result("publish", "app", "a/b", "--at", "nfs://h/x"), 64,
                "a version"
            ),
            (
                try await machine.result("publish", "none", "1", "--at", "nfs://h/x"), 1, "keygen"
            ),
            (
                try await machine.result(
                    "publish", "app", "1", "--at", "nfs://h/x", "--manifest", "xyz"), 64,
                "64 hexadecimal digits"
            ),
            (
                try await machine.result(
                    "publish", "app", "1", "--at", "nfs://h/x", "--tree", "/nothing"), 64, "no tree"
            ),
            (
                try await machine.result(
                    "publish", "app", "1", "--at", "nfs://h/x", "--tree", "/"), 64, "mounted"
            ),
            (try await machine.result("retire", "app", "1"), 1, "not published"),
            (
                try await machine.result(
                    "versions", "\(appliance)", "--catalogue-timeout", "0"), 64, "timeout"
            ),
        ]
        for (result, code, words) in cases {
            #expect(result.status == .exited(code), "\(result.errors)")
            #expect(result.errors.contains(words), "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1)
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
        let open = try await machine.result("publish", "app", "1", "--at", "nfs://h/x")
        #expect(open.status == .exited(1) && open.errors.contains("chmod 600"))
    }
}
