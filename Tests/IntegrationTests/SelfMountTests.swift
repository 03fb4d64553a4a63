import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// A proxy that serves a mount on its own machine, whose memory is short.
    @Suite struct SelfMountTests {
        private static let memoryMiB = 768
        private static let writtenMiB = 2 * memoryMiB

        /// The client's pages can only be freed when the proxy takes them, which takes memory itself.
        @Test func writingTwiceTheMemoryThroughAMountOfItsOwnDoesNotStandStill() async throws {
            let folder = try TemporaryDirectory()
            let disk = folder.path("disk")
            try await runTool("truncate", ["-s", "\(Self.writtenMiB + 512)M", disk])
            try await runTool("mkfs.ext4", ["-q", disk])
            let result = try await Guest(memoryMiB: Self.memoryMiB, limit: .seconds(900)).run(
                """
                mkdir -p /disk /img /mnt/big
                mount -t ext4 /dev/vda /disk || fail "no disk"
                echo 1 >/img/file
                data() { yes "what is written is more than fits into memory" | head -c \
                    $((\(Self.writtenMiB) << 20)); }
                rowctl mount /img /mnt/big --state /disk/state || fail "no mount"
                data >/mnt/big/data || fail "no write"
                sync /mnt/big/data || fail "no sync"
                rowctl stat-session big --state /disk/state | grep '^changed'
                forget
                [ "$(md5sum </mnt/big/data)" = "$(data | md5sum)" ] || fail "other bytes"
                grep VmHWM /proc/$(pidof rowctl)/status
                rowctl umount /mnt/big --state /disk/state || fail "no unmount"
                umount /disk
                """, programs: [try await MountVerbTests.program(in: folder)], disk: disk)
            print("writing \(Self.writtenMiB) MiB with \(Self.memoryMiB) MiB: \(result.output)")
            #expect(result.exitCode == 0, "\(result)")
            let words = result.output.split(whereSeparator: \.isWhitespace)
            let mark = try #require(words.firstIndex(of: "VmHWM:"))
            let kibibytes = try #require(Int(words[mark + 1]))
            #expect(kibibytes < 128 << 10)
        }
    }
}
