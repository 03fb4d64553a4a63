import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// The tools of the other tests do what those tests believe.
    @Suite struct LabTests {
        @Test func guestPassesOnOutputExitCodeVariablesAndFiles() async throws {
            let folder = try TemporaryDirectory()
            let file = try folder.file("from-host", "text of the host\n")
            let result = try await Guest().run(
                "echo \"$GREETING\"; cat /files/from-host; sqlite3 :memory: 'select 6 * 7'; exit 9",
                environment: ["GREETING": "it's \"quoted\" $HOME"], programs: ["sqlite3"],
                files: [file])
            #expect(result.output == "it's \"quoted\" $HOME\ntext of the host\n42\n")
            #expect(result.exitCode == 9)
        }

        @Test func guestRunsCommandsOnTheHost() async throws {
            struct Refused: Error {}
            let result = try await Guest().run(
                """
                host count 1 2 3; echo "code $?"
                host refuse >/dev/null; echo "code $?"
                host nonsense; echo "code $?"
                """,
                hostCommands: [
                    "count": { "\($0.count) words\nof \($0)" },
                    "refuse": { _ in throw Refused() },
                ])
            #expect(
                result.output == """
                    3 words
                    of ["1", "2", "3"]
                    code 0
                    code 1
                    the test has no command 'nonsense'
                    code 127

                    """, "\(result)")
        }

        @Test func guestThatHangsIsStopped() async throws {
            let result = try await Guest(limit: .seconds(12)).run("while :; do :; done")
            #expect(result.exitCode == 124)
        }

        @Test func clientWaitsForASilentServerAndForOneThatStartsAgain() async throws {
            let folder = try TemporaryDirectory()
            let directory = try folder.directory("export")
            _ = try folder.file("export/one", "first\n")
            _ = try folder.file("export/two", "second\n")
            let server = try await Ganesha.start(directory: directory)
            let result = try await Guest().run(
                """
                nfs_mount \(server.export.mountWords) /mnt || fail "no mount"
                cat /mnt/one
                host pause; cat /mnt/two & host resume; wait $!
                forget
                host crash
                cat /mnt/one
                (: >/mnt/new) 2>/dev/null && fail "the export is writable"
                exit 0
                """,
                hostCommands: [
                    "pause": { _ in
                        server.pause(); return ""
                    },
                    "resume": { _ in
                        server.resume(); return ""
                    },
                    "crash": { _ in
                        try await server.kill()
                        try await server.restart()
                        return ""
                    },
                ])
            #expect(result.output == "first\nsecond\nfirst\n", "\(result)")
            #expect(result.exitCode == 0)
            try await server.stop()
        }

        @Test func treeHashTellsEveryKindOfChange() throws {
            let folder = try TemporaryDirectory()
            let files = FileManager.default
            func makeTree() throws -> String {
                let root = try folder.directory(UUID().uuidString)
                try files.createDirectory(
                    atPath: "\(root)/dir", withIntermediateDirectories: false)
                try Data("some bytes".utf8).write(to: URL(fileURLWithPath: "\(root)/dir/file"))
                try files.createSymbolicLink(
                    atPath: "\(root)/link", withDestinationPath: "dir/file")
                return root
            }
            let original = try TreeHash(of: try makeTree())
            #expect(try TreeHash(of: try makeTree()) == original)
            let changes: [(String, (String) throws -> Void)] = [
                ("/dir/file", { try Data("some Bytes".utf8).write(to: URL(fileURLWithPath: $0)) }),
                (
                    "/dir/file",
                    { try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: $0) }
                ),
                ("/dir/file", { try files.removeItem(atPath: $0) }),
                ("/dir/file", { try files.linkItem(atPath: $0, toPath: $0 + "2") }),
                ("/new", { try Data().write(to: URL(fileURLWithPath: $0)) }),
                (
                    "/link",
                    {
                        try files.removeItem(atPath: $0)
                        try files.createSymbolicLink(atPath: $0, withDestinationPath: "dir/other")
                    }
                ),
            ]
            for (path, change) in changes {
                let root = try makeTree()
                try change(root + path)
                let differences = try TreeHash(of: root).differences(from: original)
                #expect(differences.contains { $0.hasPrefix("\(path): ") }, "\(differences)")
            }
        }

        @Test func treeHashTakesHolesForZeros() throws {
            let folder = try TemporaryDirectory()
            let one = try folder.directory("one")
            let two = try folder.directory("two")
            var bytes = Data(count: 3 << 20)
            bytes[2 << 20] = 1
            try bytes.write(to: URL(fileURLWithPath: "\(one)/file"))
            #expect(FileManager.default.createFile(atPath: "\(two)/file", contents: nil))
            let sparse = try #require(FileHandle(forWritingAtPath: "\(two)/file"))
            try sparse.truncate(atOffset: 3 << 20)
            try sparse.seek(toOffset: 2 << 20)
            try sparse.write(contentsOf: Data([1]))
            try sparse.close()
            #expect(try TreeHash(of: one) == TreeHash(of: two))
        }
    }
}
