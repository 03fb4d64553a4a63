import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// Main's process is gone: what was read once is there, even for a proxy that is started without it, and
    /// what was not is waited for.
    @Suite struct MainGoneTests {
        private static let mainTimeoutSeconds = 3
        private static let neverBytes = 3 << 20

        @Test func whatWasReadIsReadAgainWithoutMainAndTheRestWhenItIsBack() async throws {
            let folder = try TemporaryDirectory()
            let image = try folder.directory("image")
            _ = try WideAreaTree(at: try folder.directory("image/tree"), files: 300)
            var generator = Seed(5).makeGenerator()
            let words = (0..<Self.neverBytes / 8).map { _ in generator.next() }
            let never = words.withUnsafeBytes { Data($0) }
            try never.write(to: URL(fileURLWithPath: "\(image)/never"))
            let main = try await Ganesha.start(directory: image)
            let state = try folder.directory("state")
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "s", "--state", state,
                "--main-timeout", "\(Self.mainTimeoutSeconds)",
            ])
            let libnfs = try await CProgram.build("libnfs-read", flags: ["-lnfs"], in: folder)

            let result = try await Guest().run(
                Self.script(proxy.export), programs: ["tar"],
                files: ["\(image)/never"],
                hostCommands: [
                    // The proxy ends with its main, and begins without it.
                    "lose_main": { _ in
                        try await proxy.terminate()
                        try await main.kill()
                        try await proxy.restart()
                        return proxy.export.mountWords
                    },
                    "libnfs": { _ in try await Self.expectJukebox(libnfs, proxy.export) },
                    "reads": { words in
                        try await Self.waitForReads(Int(words.first ?? "") ?? 1, state)
                    },
                    "main_returns": { _ in
                        try await main.restart()
                        return ""
                    },
                ])
            #expect(result.exitCode == 0, "\(result) \(proxy.errors)")
            let status = try await SessionStatus.read(session: "s", state: state)
            #expect(status.bytes.fromMain > Self.neverBytes / 2)
            #expect(status.bytes.fromMain <= Self.neverBytes)
            try await proxy.terminate()
            try await main.stop()
        }

        private static func script(_ export: NFSExport) -> String {
            """
            sum() { tar c -C /mnt tree | md5sum; }
            # Whether a process is waiting in the kernel or at work, not gone.
            is_there() { kill -0 "$1" 2>/dev/null; }

            nfs_mount \(export.mountWords) /mnt || fail "no mount"
            first=$(sum)
            umount /mnt || fail "no unmount"
            proxy=$(host lose_main) || fail "$proxy"

            nfs_mount $proxy /mnt || fail "no mount without main"
            [ "$(sum)" = "$first" ] || fail "the tree is another without main"
            host libnfs || fail "libnfs was not told to try again later"

            cat /mnt/never >/tmp/got &
            reader=$!
            # Told to try again later, and came back.
            host reads 3 || fail "the reader does not try again"
            is_there $reader || fail "the reader has given up"
            kill -9 $reader
            wait $reader
            [ $? = 137 ] || fail "the reader was not killed"

            cat /mnt/never >/tmp/got &
            reader=$!
            host reads 1 || fail "the second reader does not ask"
            is_there $reader || fail "the second reader has given up"
            host main_returns || fail "main does not return"
            wait $reader || fail "the second reader failed"
            cmp /tmp/got /files/never || fail "wrong contents"
            """
        }

        /// A client that does not try again by itself sees what the proxy says, and when. It reads the end of
        /// the file: its beginning came with those of its neighbours.
        private static func expectJukebox(
            _ program: String, _ export: NFSExport
        ) async throws -> String {
            let child = try ChildProcess(
                program,
                ["\(export.port)", export.path, "never", "\(neverBytes - 4096)", "4096"])
            let status = try await child.exit(within: .seconds(60))
            #expect(status.code == 0, "\(child.errors)")
            #expect(child.output.contains("NFS3ERR_JUKEBOX"), "\(child.output)")
            let milliseconds = Int(child.output.prefix { $0.isNumber }) ?? .max
            print("JUKEBOX after \(milliseconds) ms, --main-timeout \(mainTimeoutSeconds) s")
            // A busy machine may take a moment more.
            #expect(milliseconds < (mainTimeoutSeconds + 2) * 1000)
            return ""
        }

        /// Waits until clients have made some more READs.
        private static func waitForReads(_ count: Int, _ state: String) async throws -> String {
            func reads() async throws -> Int {
                let status = try await SessionStatus.read(session: "s", state: state)
                return status.calls.client["READ", default: 0]
            }
            let before = try await reads()
            try await poll(for: "\(count) READs", within: .seconds(60)) {
                try await reads() >= before + count ? () : nil
            }
            return ""
        }
    }
}
