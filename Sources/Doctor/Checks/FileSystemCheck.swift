import CLinux
import Glibc
import ROWProxy
import SystemPackage

/// Whether the state directory's file system can do what is asked of it.
enum FileSystemCheck {
    static func findings(_ plan: Plan, _ surroundings: Surroundings) -> [Finding] {
        let path = plan.state.path.string
        let place = Paths.nearestExisting(path)
        let mounted = MountedFileSystem(of: place, surroundings)
        var findings = [kind(mounted, place)].compactMap(\.self)
        // Where nothing is kept yet, nothing is tried out either.
        if place == Paths.resolved(path), let finding = trial(place, mounted) {
            findings.append(finding)
        }
        let type = mounted.map { " (\($0.type))" } ?? ""
        return findings.isEmpty
            ? [.fine(.fileSystem, place, "it keeps what it is given\(type)")] : findings
    }

    private static func kind(_ mounted: MountedFileSystem?, _ place: String) -> Finding? {
        switch mounted?.type {
        case "tmpfs", "ramfs":
            .warning(
                .fileSystem, place, "it is in memory (\(mounted?.type ?? ""))",
                because: "sessions are gone with the next start of the machine",
                remedy: "keep them on a disk: --state /var/lib/rowfs, or 'state' in the file")
        case "nfs", "nfs4", "cifs", "9p":
            .warning(
                .fileSystem, place, "it is on another machine (\(mounted?.type ?? ""))",
                because: "databases there depend on its locks, and every change waits for it",
                remedy: "keep the state on a disk of this machine with --state; data alone can go "
                    + "to a server with --shadow")
        default: nil
        }
    }

    private enum Outcome: Equatable {
        case good, dense, noHoles
        case refused(Errno)
    }

    private static func trial(_ place: String, _ mounted: MountedFileSystem?) -> Finding? {
        switch attempt(place) {
        case .good: nil
        case .refused(.readOnlyFileSystem):
            .problem(
                .fileSystem, place, "it is read-only", because: "nothing can be kept",
                remedy: "mount -o remount,rw \(mounted?.mountPoint ?? place)")
        case .refused(.noSpace):
            // Told with the space.
            nil
        case .refused(let error):
            .problem(
                .fileSystem, place, "no file can be written there: \(error)",
                because: "nothing can be kept",
                remedy: "run as the directory's owner, or give another one with --state")
        case .dense:
            .warning(
                .fileSystem, place, "its files cannot have holes",
                because: "a changed block of a large file takes up the space of all before it",
                remedy: "keep the state on ext4, xfs or btrfs: --state")
        case .noHoles:
            .warning(
                .fileSystem, place, "no holes can be punched into its files",
                because: "what is kept of images cannot be given up in parts when room is needed",
                remedy: "keep the state on ext4, xfs or btrfs: --state")
        }
    }

    /// Writes a file without a name.
    private static func attempt(_ place: String) -> Outcome {
        var template = Array("\(place)/.doctor-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { return .refused(Errno(rawValue: errno)) }
        defer { close(descriptor) }
        unlink(template)
        let block: Int64 = 64 << 10
        let data = [UInt8](repeating: 1, count: Int(block))
        let written = data.withUnsafeBytes {
            clinux_pwrite(descriptor, $0.baseAddress!, $0.count, 15 * block)
        }
        guard written == data.count else {
            return .refused(Errno(rawValue: written < 0 ? Int32(-written) : ENOSPC))
        }
        var status = clinux_stat()
        _ = clinux_fsync(descriptor)
        _ = clinux_fstat(descriptor, &status)
        guard status.blocks * 512 < 8 * UInt64(block) else { return .dense }
        guard clinux_punch_hole(descriptor, 15 * block, block) == 0 else { return .noHoles }
        return .good
    }
}
