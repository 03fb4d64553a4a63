import Foundation
import ROWTestKit
import Testing

/// The programs under `Examples`, run as a newcomer would.
@Suite(.serialized) struct ExampleTests {
    private let folder: TemporaryDirectory
    private let tree: String

    init() throws {
        folder = try TemporaryDirectory("rowfs-example")
        tree = try folder.directory("tree")
        try Data("first line\n".utf8).write(to: URL(fileURLWithPath: tree + "/file"))
    }

    /// Runs a program twice: its session goes on, and what it stands on stays as it is.
    private func check(_ program: String, _ image: String) async throws {
        let program = try ProjectPaths.builtProgram(program)
        let before = try TreeHash(of: tree, modificationTimes: true)
        for round in 1...2 {
            let output = try await runTool(program, [image, "/file", folder.path("state")])
            let added = String(repeating: "changed in a session\n", count: round)
            #expect(
                output == "first line\n" + added + "changed /file: content, modificationTime\n")
        }
        #expect(try TreeHash(of: tree, modificationTimes: true) == before)
    }

    @Test func aDirectoryIsEditedInASession() async throws {
        try await check("example-directory", tree)
    }

    @Test func anExportOfOursIsEditedInASession() async throws {
        let export = try await RowctlProcess.start(
            ["export", tree, "--state", folder.path("export")])
        try await check("example-nfs", export.export.url)
        try await export.terminate()
    }

    /// Needs root.
    @Test func anExportOfGaneshaIsEditedInASession() async throws {
        let server = try await Ganesha.start(directory: tree)
        try await check("example-nfs", server.export.url)
        try await server.stop()
    }
}
