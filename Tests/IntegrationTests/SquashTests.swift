import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// A main that lets only reserved ports in and takes root for nobody.
    @Suite struct SquashTests {
        @Test func filesThatOnlyTheirOwnerMayReadAreReadOrTheReasonIsSaid() async throws {
            let folder = try TemporaryDirectory()
            let image = try ImageTree(at: try folder.directory("image"), bigBytes: 8 << 20)
            try FileManager.default.createDirectory(
                atPath: "\(image.path)/private", withIntermediateDirectories: false)
            _ = try folder.file("image/private/inside", "in a private directory\n")
            let owned = ["mine", "private", "private/inside"]
            try await runTool("chown", ["1000:1000"] + owned.map { "\(image.path)/\($0)" })
            try await runTool("chmod", ["0600", "\(image.path)/mine"])
            try await runTool("chmod", ["0700", "\(image.path)/private"])
            let state = try folder.directory("state")
            let main = try await Ganesha.start(
                directory: image.path, squash: .root, privilegedPorts: true)
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "squashed", "--state", state,
            ])
            let result = try await Guest().run(
                """
                nfs_mount \(proxy.export.mountWords) /mnt || fail "no mount"
                cat /mnt/hello || fail "not even a public file"
                as_user "cat /mnt/mine /mnt/private/inside" || fail "not as their owner"
                cat /mnt/mine /mnt/private/inside || fail "not as root"
                as_user "ls /mnt/private" || fail "no listing"
                if cat /mnt/secret; then echo "was readable"; fi 2>/dev/null
                """)
            #expect(result.exitCode == 0, "\(result) \(proxy.errors)")
            let owners = "of uid 1000\nin a private directory\n"
            #expect(result.output == "hello, world\n" + owners + owners + "inside\n", "\(result)")
            let status = try await SessionStatus.read(session: "squashed", state: state)
            let events = status.events.map(\.message)
            #expect(
                events.contains { $0.contains("main squashes root") && $0.contains("secret") },
                "\(events)")
            #expect(!events.contains { $0.contains("mine") || $0.contains("private") }, "\(events)")
            try await proxy.terminate()
            try await main.stop()
        }
    }
}
