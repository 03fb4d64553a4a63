import Doctor
import Foundation
import ROWProxy
import ROWTestKit
import Testing

/// File systems with faults: real ones, where only children of the tests see them.
@Suite struct DiskTests {
    /// Mounts something as `$1/disk`, with a directory `state` in it, and looks at it before and after `mend`.
    private func around(
        _ mount: String, mend: String
    ) async throws -> (before: [Line], after: [Line]) {
        let folder = try TemporaryDirectory("rowfs-doctor")
        let disk = try folder.directory("disk")
        let script = """
            \(mount) || exit 9
            \(try ProjectPaths.builtProgram("rowctl")) doctor --json --state "$1/state" >"$2/before"
            { \(mend); } >&2 || exit 8
            \(try ProjectPaths.builtProgram("rowctl")) doctor --json --state "$1/state" >"$2/after"
            true
            """
        try await runTool(
            "unshare", ["--mount", "/bin/sh", "-c", script, "sh", disk, folder.path])
        func lines(_ name: String) throws -> [Line] {
            try Line.all(try String(contentsOfFile: folder.path(name), encoding: .utf8))
        }
        return (try lines("before"), try lines("after"))
    }

    private func complaints(_ lines: [Line], _ check: String) -> [Line] {
        lines.filter { $0.check == check && $0.severity != "fine" }
    }

    private let tmpfs = "mount -t tmpfs -o mode=700,size=200M disk \"$1\""

    @Test func aDiskInMemory() async throws {
        let (before, after) = try await around(
            "\(tmpfs) && mkdir -m 700 $1/state", mend: "umount $1 && mkdir -m 700 $1/state")
        let complaint = try #require(complaints(before, "file-system").first)
        #expect(complaint.found == "it is in memory (tmpfs)")
        #expect(complaints(before, "space").isEmpty)
        #expect(complaints(after, "file-system").isEmpty, "\(after)")
    }

    /// The kernel gives a table that is longer than 4 KiB in parts.
    @Test func aDiskAfterManyOthers() async throws {
        let many =
            "for i in $(seq 100); do mkdir $2/$i && mount -t tmpfs other $2/$i || exit 9; done"
        let (before, after) = try await around(
            "\(many); \(tmpfs) && mkdir -m 700 $1/state", mend: "umount $1 && mkdir -m 700 $1/state"
        )
        let complaint = try #require(complaints(before, "file-system").first)
        #expect(complaint.found == "it is in memory (tmpfs)")
        #expect(complaints(after, "file-system").isEmpty, "\(after)")
    }

    @Test func aDiskThatIsFull() async throws {
        let (before, after) = try await around(
            "\(tmpfs) && mkdir -m 700 $1/state && fallocate -l 150M $1/filler", mend: "rm $1/filler"
        )
        let complaint = try #require(complaints(before, "space").first)
        #expect(complaint.severity == "problem" && complaint.found == "50M are free")
        #expect(complaints(after, "space").isEmpty, "\(after)")
    }

    @Test func aDiskWithoutInodes() async throws {
        let (before, after) = try await around(
            "mount -t tmpfs -o mode=700,nr_inodes=900 disk $1 && mkdir -m 700 $1/state",
            mend: "mount -o remount,nr_inodes=100000 $1")
        let complaint = try #require(complaints(before, "space").first)
        #expect(complaint.severity == "problem" && complaint.found.hasSuffix("files can be made"))
        #expect(complaints(after, "space").isEmpty, "\(after)")
    }

    @Test func aDiskThatIsReadOnly() async throws {
        let (before, after) = try await around(
            "\(tmpfs) && mkdir -m 700 $1/state && mount -o remount,ro $1",
            mend: "mount -o remount,rw $1")
        let complaint = try #require(
            complaints(before, "file-system").first { $0.severity == "problem" })
        #expect(complaint.found == "it is read-only")
        #expect(complaint.remedy?.hasPrefix("mount -o remount,rw /") == true)
        #expect(!after.contains { $0.check == "file-system" && $0.severity == "problem" })
    }

    @Test func aFileSystemThatPunchesNoHoles() async throws {
        let (before, after) = try await around(
            "mount -t ramfs -o mode=700 disk $1 && mkdir -m 700 $1/state",
            mend: "umount $1 && mkdir -m 700 $1/state")
        #expect(
            complaints(before, "file-system").contains {
                $0.found == "no holes can be punched into its files"
            }, "\(before)")
        #expect(complaints(after, "file-system").isEmpty, "\(after)")
    }

    @Test func moreIsToBeKeptThanThereIsRoomFor() async throws {
        let server = try await SimulatedNFSServer.start()
        let patient = try Patient()
        try patient.serve(server.export.url) { $0.cacheSize = ByteSize(bytes: 1 << 60) }
        let finding = try await patient.complaint(.space, .warning)
        #expect(finding.remedy?.hasPrefix("make --cache-size smaller") == true)
        patient.plan.images[0].cacheSize = ByteSize(bytes: 1 << 20)
        #expect(await patient.complaints(.space) == [])
        try await server.stop()
    }
}
