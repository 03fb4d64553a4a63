import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// A session as the Linux kernel's client sees it, against the same work on a plain copy.
    @Suite struct KernelClientTests {
        @Test(arguments: [false, true])
        func sessionOnAReadOnlyServerBehavesLikeAWritableCopy(
            hasShadowServer: Bool
        ) async throws {
            let seed = Seed()
            let folder = try TemporaryDirectory()
            let image = try ImageTree(at: try folder.directory("image"), seed: seed)
            let before = try TreeHash(of: image.path, modificationTimes: true)
            let expected = try await onWritableCopy(of: image, in: folder) { Workload.full(on: $0) }

            let main = try await Ganesha.start(directory: image.path)
            let shadow =
                hasShadowServer
                ? try await Ganesha.start(
                    directory: try folder.directory("shadow"), readOnly: false) : nil
            let proxy = try await RowctlProcess.start(
                [
                    "serve", main.export.url, "--session", "work", "--state",
                    try folder.directory("state"),
                ] + (shadow.map { ["--shadow", $0.export.url] } ?? []))
            let result = try await Guest().run(
                Workload.full(on: proxy.export),
                hostCommands: [
                    "restart": { _ in
                        try await proxy.terminate()
                        try await proxy.restart()
                        return ""
                    }
                ])
            #expect(result.exitCode == 0, "\(result) \(proxy.errors) \(seed)")
            expectSameLines(result.output, expected, "\(seed)")

            // Nothing was in memory alone: all are killed, and another client looks.
            try await proxy.kill()
            try await shadow?.kill()
            try await shadow?.restart()
            try await proxy.restart()
            let later = try await Guest().run(Workload.look(at: proxy.export))
            #expect(later.exitCode == 0, "\(later) \(proxy.errors) \(seed)")
            expectSameLines(later.output, treeLines(of: expected), "after kill -9, \(seed)")

            try await proxy.terminate()
            try await shadow?.stop()
            try await main.stop()
            let after = try TreeHash(of: image.path, modificationTimes: true)
            #expect(after.differences(from: before) == [], "\(seed)")
        }

        @Test func overwritingABlockOfABigFileReadsNothingFromMain() async throws {
            let folder = try TemporaryDirectory()
            let image = try ImageTree(at: try folder.directory("image"), bigBytes: 1 << 30)
            let state = try folder.directory("state")
            let main = try await Ganesha.start(directory: image.path)
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "overwrite", "--state", state,
            ])
            let result = try await Guest().run(
                """
                nfs_mount \(proxy.export.mountWords) /mnt || fail "no mount"
                dd if=/dev/zero bs=4096 count=1 2>/dev/null | tr '\\000' M >/tmp/block
                dd if=/tmp/block of=/mnt/big bs=4096 seek=131072 conv=notrunc,fsync 2>/dev/null ||
                    fail "no write"
                umount /mnt
                """)
            #expect(result.exitCode == 0, "\(result) \(proxy.errors)")
            let status = try await SessionStatus.read(session: "overwrite", state: state)
            #expect(status.calls.client["WRITE"] == 1)
            #expect(status.calls.main["LOOKUP", default: 0] > 0, "main's calls are not counted")
            #expect(status.calls.main["READ", default: 0] == 0)
            #expect(status.bytes.shadowStored > 0)
            #expect(status.bytes.shadowStored <= 8192)
            #expect(status.changed.files == 1)
            #expect(status.changed.blocks == 1)
            try await proxy.terminate()
            try await main.stop()
        }
    }

    /// A session on what needs no foreign server.
    @Suite struct OwnSourcesTests {
        @Test func sessionOnALocalDirectoryBehavesLikeAWritableCopy() async throws {
            try await compare { image, _ in (image.path, nil) }
        }

        @Test func sessionOnOurOwnExportBehavesLikeAWritableCopy() async throws {
            try await compare { image, folder in
                let state = try folder.directory("export-state")
                let main = try await RowctlProcess.start(["export", image.path, "--state", state])
                return (main.export.url, main)
            }
        }

        private func compare(
            _ serve: (ImageTree, TemporaryDirectory) async throws -> (String, RowctlProcess?)
        ) async throws {
            let seed = Seed()
            let folder = try TemporaryDirectory()
            let image = try ImageTree(
                at: try folder.directory("image"), bigBytes: 16 << 20, seed: seed)
            let before = try TreeHash(of: image.path, modificationTimes: true)
            let expected = try await onWritableCopy(of: image, in: folder) {
                Workload.short(on: $0)
            }

            let (source, main) = try await serve(image, folder)
            let proxy = try await RowctlProcess.start([
                "serve", source, "--session", "work", "--state", try folder.directory("state"),
            ])
            let result = try await Guest().run(Workload.short(on: proxy.export))
            #expect(result.exitCode == 0, "\(result) \(proxy.errors) \(seed)")
            expectSameLines(result.output, expected, "\(seed)")
            try await proxy.terminate()
            try await main?.terminate()
            let after = try TreeHash(of: image.path, modificationTimes: true)
            #expect(after.differences(from: before) == [], "\(seed)")
        }
    }
}

/// What the script prints on a writable copy of the image behind a plain server.
private func onWritableCopy(
    of image: ImageTree, in folder: TemporaryDirectory, _ script: (NFSExport) -> String
) async throws -> String {
    let copy = folder.path("copy")
    try await image.copy(to: copy)
    let server = try await Ganesha.start(directory: copy, readOnly: false)
    let result = try await Guest().run(
        script(server.export),
        hostCommands: [
            "restart": { _ in
                try await server.stop()
                try await server.restart()
                return ""
            }
        ])
    #expect(result.exitCode == 0, "on the writable copy: \(result)")
    try await server.stop()
    return result.output
}
