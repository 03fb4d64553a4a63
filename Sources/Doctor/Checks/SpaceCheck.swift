import Glibc
import ROWCore
import ROWProxy
import SystemPackage

/// Whether there is room for changes, and for what is kept of images.
enum SpaceCheck {
    private static let bytesMinimum: UInt64 = 64 << 20
    private static let filesMinimum: UInt64 = 1000

    static func findings(_ plan: Plan) -> [Finding] {
        let place = Paths.nearestExisting(plan.state.path.string)
        var status = statvfs()
        // Some file systems in memory have no limits, and say so by zeros.
        guard statvfs(place, &status) == 0, status.f_blocks > 0 else { return [] }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        var findings: [Finding] = []
        if free < bytesMinimum {
            findings.append(
                .problem(
                    .space, place, "\(text(free)) are free",
                    because: "changes of clients have nowhere to go, and are refused",
                    remedy: "make room: 'rowctl ls' shows what sessions store, 'rowctl cache' what "
                        + "is kept of images; or give a larger disk with --state"))
        } else if let finding = cache(plan, free: free, place) {
            findings.append(finding)
        }
        if status.f_files > 0, UInt64(status.f_favail) < filesMinimum {
            findings.append(
                .problem(
                    .space, place, "\(status.f_favail) more files can be made",
                    because: "each file that a session changes, or that is kept of an image, is "
                        + "a file there",
                    remedy: "remove files there, or make the file system anew with more inodes "
                        + "(mkfs.ext4 -N)"))
        }
        return findings.isEmpty
            ? [.fine(.space, place, "\(text(free)) are free, for \(status.f_favail) files")]
            : findings
    }

    private static func cache(_ plan: Plan, free: UInt64, _ place: String) -> Finding? {
        let images = plan.images.filter { !$0.servers.isEmpty }
        let wanted = images.reduce(0) { $0 + $1.cacheSize.bytes }
        let kept = images.reduce(0) { $0 + KeptBlocks.bytes(of: $1, in: plan.state) }
        let missing = wanted - min(wanted, kept)
        guard missing > free,
            let image = images.max(by: { $0.cacheSize.bytes < $1.cacheSize.bytes })
        else { return nil }
        return .warning(
            .space, place,
            "\(text(free)) are free, and \(text(missing)) more may be kept of images",
            because: "what is kept of images would fill the disk, and clients' changes be refused",
            remedy: "make \(image.setting("cache-size")) smaller: all together "
                + "\(text((free + kept) / 2)) for example")
    }

    private static func text(_ bytes: UInt64) -> String {
        bytes >= 10 << 30 ? "\(bytes >> 30)G" : "\(bytes >> 20)M"
    }
}
