import CLinux

/// The file system that something is on, from the kernel's table of mounts.
struct MountedFileSystem {
    let type: String
    let mountPoint: String

    /// - Returns: nil where the table does not tell, as for parts of btrfs.
    init?(of path: String, _ surroundings: Surroundings) {
        guard let device = Paths.attributes(path)?.dev else { return nil }
        let major = (device >> 8) & 0xfff | (device >> 32) & ~0xfff
        let minor = device & 0xff | (device >> 12) & ~0xff
        let table = surroundings.text("\(surroundings.proc)/self/mountinfo") ?? ""
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 6, words[2] == "\(major):\(minor)",
                let dash = words.firstIndex(of: "-"), dash + 1 < words.count
            else { continue }
            type = String(words[dash + 1])
            mountPoint = String(words[4])
            return
        }
        return nil
    }
}
