import Foundation
import ROWTestKit
import Testing

/// `rowctl image` as operators see it.
@Suite struct ImageVerbTests {
    private let folder: TemporaryDirectory
    private let tree: String

    init() throws {
        folder = try TemporaryDirectory()
        tree = try folder.directory("tree")
        _ = try folder.directory("tree/d")
        _ = try folder.file("tree/d/file", "text")
    }

    private func rowctl(_ arguments: String...) async throws -> Tool.Result {
        try await Tool.result(of: try ProjectPaths.builtProgram("rowctl"), arguments)
    }

    private func json(_ result: Tool.Result) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require(value as? [String: Any])
    }

    @Test func aTreeIsSealedShownAndVerified() async throws {
        let sealed = try await rowctl("image", "seal", tree)
        #expect(sealed.status == .exited(0) && sealed.errors == "", "\(sealed)")
        #expect(sealed.output.hasPrefix("sealed 1 files, 4 B (4 B read), 1 chunks; manifest "))
        let sums = try await runTool("sha256sum", [tree + "/.rowfs/manifest.sums"])
        let rootHash = String(sums.prefix(64))
        #expect(sealed.output.hasSuffix("root hash \(rootHash)\n"))

        let again = try json(try await rowctl("image", "seal", tree, "--json"))
        #expect(again["root_hash"] as? String == rootHash)
        #expect(again["bytes_read"] as? Int == 0 && again["bytes"] as? Int == 4)
        let rehashed = try json(try await rowctl("image", "seal", tree, "--json", "--rehash"))
        #expect(rehashed["bytes_read"] as? Int == 4)

        let shown = try await rowctl("image", "show", tree)
        #expect(shown.output.hasPrefix("root hash  \(rootHash)\n"), "\(shown)")
        let facts = try json(try await rowctl("image", "show", tree, "--json"))
        #expect(facts["files"] as? Int == 1 && facts["nodes"] as? Int == 3)

        let verified = try await rowctl("image", "verify", tree)
        #expect(verified.status == .exited(0), "\(verified)")
        #expect(verified.output == "1 files, 4 B: as they were sealed\n")
        _ = try folder.file("tree/d/other", "")
        try FileManager.default.removeItem(atPath: tree + "/d/file")
        let changed = try await rowctl("image", "verify", tree)
        #expect(changed.status == .exited(1) && changed.errors == "", "\(changed)")
        #expect(changed.output.contains("/d/file: is missing\n/d/other: is not in the manifest\n"))
        let told = try json(try await rowctl("image", "verify", tree, "--json"))
        let differences = try #require(told["differences"] as? [[String: String]])
        #expect(differences.contains(["path": "d/file", "what": "is missing"]))
    }

    @Test func aSealThatIsKilledLeavesTheManifestBefore() async throws {
        _ = try await rowctl("image", "seal", tree)
        let before = try await rowctl("image", "show", tree)
        _ = try folder.file("tree/d/new", "more")
        // It waits with all that it has written, before anything gets its name.
        let seal = try ChildProcess(
            try ProjectPaths.builtProgram("rowctl"), ["image", "seal", tree],
            environment: ["ROWFS_SYNC_DELAY_MS": "60000"])
        let sums = tree + "/.rowfs/manifest.sums.new"
        _ = try await poll(for: "the new sums", within: .seconds(30)) {
            FileManager.default.fileExists(atPath: sums) ? true : nil
        }
        try await seal.kill()
        #expect(FileManager.default.fileExists(atPath: sums))
        let after = try await rowctl("image", "show", tree)
        #expect(after.output == before.output && after.status == .exited(0), "\(after)")
        let again = try await rowctl("image", "seal", tree)
        #expect(again.status == .exited(0), "\(again)")
        let left = try FileManager.default.contentsOfDirectory(atPath: tree + "/.rowfs")
        #expect(left.sorted() == ["manifest.sqlite", "manifest.sums"])
        let verified = try await rowctl("image", "verify", tree)
        #expect(verified.status == .exited(0), "\(verified)")
    }

    @Test func whatCannotBeDoneIsToldInOneLine() async throws {
        for arguments in [
            ["seal", folder.path("none")], ["verify", tree], ["show", tree],
            ["seal", tree, "--from", folder.path("none")],
        ] {
            let result = try await Tool.result(
                of: try ProjectPaths.builtProgram("rowctl"), ["image"] + arguments)
            #expect(result.status == .exited(1), "\(arguments)")
            #expect(result.errors.hasPrefix("rowctl: ") && result.output == "", "\(result)")
            #expect(result.errors.split(separator: "\n").count == 1)
        }
        let both = try await rowctl("image", "seal", tree, "--rehash", "--from", tree)
        #expect(both.status == .exited(64))
    }
}
