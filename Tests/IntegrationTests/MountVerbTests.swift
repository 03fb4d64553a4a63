import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// `rowctl mount` and `rowctl umount` where they belong: on a machine whose kernel has the client.
    @Suite struct MountVerbTests {
        /// The program under test, as small as it gets: the guest keeps it in memory.
        static func program(in folder: TemporaryDirectory) async throws -> String {
            let given = ProcessInfo.processInfo.environment["ROWFS_ROWCTL"]
            let stripped = folder.path("rowctl")
            try await runTool(
                "strip", ["-o", stripped, try given ?? ProjectPaths.builtProgram("rowctl")])
            return stripped
        }

        @Test func aSessionIsMountedSharedLeftAndMountedAgain() async throws {
            let folder = try TemporaryDirectory()
            let result = try await Guest(memoryMiB: 1536).run(
                """
                mkdir -p /img/sub /mnt/alice /mnt/bob
                echo golden >/img/file; chmod 777 /img /img/file
                refused() { # WORDS COMMAND... : fails with one line that has the words in it
                    words=$1; shift
                    "$@" >/tmp/said 2>&1 && fail "not refused: $*"
                    [ "$(wc -l </tmp/said)" = 1 ] && grep -q "$words" /tmp/said ||
                        fail "$*: $(cat /tmp/said)"
                }
                mounting() { rowctl mount "$@" | sed 's/process [0-9]*/process PID/'; }
                mounting /img /mnt/alice --state /st
                grep ' /mnt/alice nfs ' /proc/mounts | cut -d' ' -f1
                echo "of alice" >>/mnt/alice/file; cat /mnt/alice/file /img/file

                echo "-- a second one joins, read-only"
                mounting /img /mnt/bob --state /st -o ro,noexec
                cat /mnt/bob/file
                if echo x 2>/dev/null >/mnt/bob/file; then fail "-o ro has no effect"; fi
                rowctl ls --state /st | awk '{ print $1, $2 }'
                [ $(rowctl ls --state /st --json | grep -c '"running"') = 2 ] || fail "not running"

                echo "-- refusals"
                refused "already" rowctl mount /img /mnt/alice --state /st
                refused "no directory\\|not a directory" rowctl mount /img /mnt/none --state /st
                refused "rowctl sets 'port' itself" rowctl mount /img /mnt --session x -o port=1
                refused "in use" rowctl mount /img /mnt --session alice --state /st
                refused "in use" rowctl rm alice --yes --state /st
                refused "may not mount.*rowctl serve" as_user "rowctl mount /img /mnt --session u"
                refused "takes root" as_user "rowctl umount /mnt/alice --state /st"
                refused "failed: .*dmesg" rowctl mount /img /mnt --session x --state /st -o nonsense
                refused "no session is mounted" rowctl umount /img --state /st
                cd /mnt/alice; refused "in use.*--force" rowctl umount /mnt/alice --state /st; cd /

                echo "-- the process of the first dies; the second takes over"
                pid=$(sed 's/.*"processID":\\([0-9]*\\).*/\\1/' /st/sessions/alice/mount.json)
                kill -9 "$pid"
                cat /mnt/bob/file
                echo "-- the first is served again; its client has waited"
                rowctl serve /img --session alice --state /st >/dev/null &
                forget; cat /mnt/alice/file

                echo "-- all processes die"
                killall -9 rowctl; forget
                cat /mnt/alice/file >/tmp/late 2>&1 &
                rowctl umount /mnt/alice --state /st || fail "no umount of a dead one"
                wait $!
                grep -q ' /mnt/alice ' /proc/mounts && fail "still mounted"
                rowctl umount /mnt/bob --state /st || fail "no second umount"
                rowctl ls --state /st | awk '{ print $1, $2 }'
                pidof rowctl && fail "a process is left"

                echo "-- mounted again"
                mounting /img /mnt/alice --state /st
                cat /mnt/alice/file
                rowctl umount /mnt/alice --state /st; rowctl rm alice --yes --state /st >/dev/null
                rowctl ls --state /st | awk '{ print $1, $2 }'
                """, programs: [try await Self.program(in: folder)])
            #expect(result.exitCode == 0, "\(result)")
            #expect(
                result.output == """
                    mounted session alice on /mnt/alice, served by process PID
                    127.0.0.1:/alice
                    golden
                    of alice
                    golden
                    -- a second one joins, read-only
                    mounted session bob on /mnt/bob, served by process PID
                    golden
                    SESSION STATE
                    alice running
                    bob running
                    -- refusals
                    -- the process of the first dies; the second takes over
                    golden
                    -- the first is served again; its client has waited
                    golden
                    of alice
                    -- all processes die
                    unmounted session alice from /mnt/alice
                    unmounted session bob from /mnt/bob
                    SESSION STATE
                    alice stopped
                    bob stopped
                    -- mounted again
                    mounted session alice on /mnt/alice, served by process PID
                    golden
                    of alice
                    unmounted session alice from /mnt/alice
                    SESSION STATE
                    bob stopped

                    """, "\(result)")
        }

        @Test func aMountThatFailsLeavesNothingOnTheShadowServer() async throws {
            let folder = try TemporaryDirectory()
            let files = try TemporaryDirectory("rowfs-shadow")
            let server = try await Ganesha.start(directory: files.path, readOnly: false)
            let export = server.export
            let url = "nfs://10.0.2.2:\(export.port)\(export.path)?mountport=\(export.mountPort)"
            let counts = { @Sendable (_: [String]) in
                "\(try FileManager.default.contentsOfDirectory(atPath: files.path).count)"
            }
            let result = try await Guest(memoryMiB: 1536).run(
                """
                mkdir -p /img /mnt/x
                rowctl mount /img /mnt/x --state /st --shadow '\(url)' -o nonsense 2>/tmp/said &&
                    fail "mounted"
                grep -q dmesg /tmp/said || fail "$(cat /tmp/said)"
                host directories
                rowctl mount /img /mnt/x --state /st --shadow '\(url)' >/dev/null
                host directories
                rowctl umount /mnt/x --state /st
                """, programs: [try await Self.program(in: folder)],
                hostCommands: ["directories": counts])
            #expect(result.exitCode == 0, "\(result)")
            #expect(
                result.output == """
                    0
                    1
                    unmounted session x from /mnt/x

                    """, "\(result)")
            try await server.stop()
        }

        @Test func whereTheKernelHasNoClientItIsSaidWhatToDo() async throws {
            let folder = try TemporaryDirectory()
            let result = try await Tool.result(
                of: Tool.find("unshare"),
                [
                    "--mount", "/bin/sh", "-c",
                    "mount --bind \"$1\" /proc/filesystems && exec \"$2\" mount \"$3\" \"$4\" --state \"$5\"",
                    "sh", try folder.file("filesystems", "nodev\tproc\n\text4\n"),
                    ProjectPaths.builtProgram("rowctl"), folder.directory("image"),
                    folder.directory("mnt"), folder.path("state"),
                ])
            #expect(result.status == .exited(1))
            #expect(result.errors.contains("no NFS client"), "\(result)")
            #expect(result.errors.contains("rowctl serve"))
            #expect(result.errors.split(separator: "\n").count == 1)
            #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
        }
    }
}
