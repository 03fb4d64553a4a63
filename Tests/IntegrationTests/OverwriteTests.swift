import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

extension Integration {
    /// A write of 100 bytes across the border of two blocks of main's file costs no READ at main, and
    /// both blocks are put together when they are read.
    @Suite struct OverwriteTests {
        /// Around the middle of `big`, where it has data.
        private static let offset = ImageTree.bigBytes / 2 / 100 * 100
        private static let blocks = offset / 4096 - 1...offset / 4096 + 2

        @Test func kernelClientThatWritesPartsOfBlocksReadsNothingFromMain() async throws {
            try await overwrite(with: UInt8(ascii: "K")) { session in
                let result = try await Guest().run(
                    """
                    nfs_mount \(session.proxy.export.mountWords) /mnt || fail "no mount"
                    dd if=/dev/zero bs=100 count=1 2>/dev/null | tr '\\000' K |
                        dd of=/mnt/big bs=100 seek=\(Self.offset / 100) conv=notrunc 2>/dev/null
                    umount /mnt || fail "no unmount"
                    host written || fail "not written as it should be"
                    nfs_mount \(session.proxy.export.mountWords) /mnt || fail "no second mount"
                    dd if=/mnt/big bs=4096 skip=\(Self.blocks.lowerBound) count=4 2>/dev/null |
                        cmp - /files/expected || fail "wrong contents"
                    """,
                    files: [session.expected],
                    hostCommands: [
                        "written": { _ in
                            try await session.expectNoReads()
                            return ""
                        }
                    ])
                #expect(result.exitCode == 0, "\(result) \(session.proxy.errors)")
            }
        }

        @Test func libnfsThatWritesPartsOfBlocksReadsNothingFromMain() async throws {
            try await overwrite(with: UInt8(ascii: "L")) { session in
                let program = try await CProgram.build(
                    "libnfs-overwrite", flags: ["-lnfs"], in: session.folder)
                let export = session.proxy.export
                let url =
                    "nfs://127.0.0.1\(export.path)?nfsport=\(export.port)"
                    + "&mountport=\(export.mountPort)"
                try await runTool(program, [url, "/big", "\(Self.offset)", "100"])
                try await session.expectNoReads()

                let client = try await NFSClient.connect(NFSURL(export.url))
                let file = try await client.object("big", in: client.rootHandle)
                let (_, data) = try await client.read(
                    file, offset: UInt64(Self.blocks.lowerBound * 4096), count: 16384)
                let expected = try Data(contentsOf: URL(fileURLWithPath: session.expected))
                #expect(data.readableBytesView.elementsEqual(expected))
                await client.close()
            }
        }

        private struct Session: Sendable {
            let folder: TemporaryDirectory
            let proxy: RowctlProcess
            let state: String
            /// A file with what the blocks around the write must contain.
            let expected: String

            func expectNoReads() async throws {
                let status = try await SessionStatus.read(session: "overwrite", state: state)
                #expect(status.calls.client["WRITE"] == 1)
                #expect(status.calls.main["LOOKUP", default: 0] > 0, "main's calls are not counted")
                #expect(status.calls.main["READ", default: 0] == 0)
                #expect(status.bytes.fromMain == 0)
            }
        }

        private func overwrite(
            with letter: UInt8, _ work: (Session) async throws -> Void
        ) async throws {
            let seed = Seed()
            print(seed)
            let folder = try TemporaryDirectory()
            let image = try ImageTree(at: try folder.directory("image"), seed: seed)
            let original = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(image.path)/big"))
            let start = Self.blocks.lowerBound * 4096
            try original.seek(toOffset: UInt64(start))
            var expected = try #require(try original.read(upToCount: Self.blocks.count * 4096))
            try original.close()
            let written = Self.offset - start..<Self.offset - start + 100
            expected.replaceSubrange(written, with: Data(repeating: letter, count: 100))
            let file = folder.path("expected")
            try expected.write(to: URL(fileURLWithPath: file))

            let main = try await Ganesha.start(directory: image.path)
            let state = try folder.directory("state")
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "overwrite", "--state", state,
            ])
            try await work(Session(folder: folder, proxy: proxy, state: state, expected: file))
            let status = try await SessionStatus.read(session: "overwrite", state: state)
            #expect(status.calls.main["READ", default: 0] > 0, "READs of main are not counted")
            try await proxy.terminate()
            try await main.stop()
        }
    }
}
