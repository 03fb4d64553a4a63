/// What redirects writes does this, each in the way in which it is used: rowfs and nfs-ganesha through NFS,
/// the others by system calls of this process.
enum RedirectCase: CaseIterable, Sendable {
    case firstWrite1M, firstWrite1G, firstWrite8G
    case overwrites, stored
    case halfSequential, halfRandom
    case renameDirectory

    var name: String {
        switch self {
        case .firstWrite1M: "first 4K write + COMMIT, 1 MiB"
        case .firstWrite1G: "first 4K write + COMMIT, 1 GiB"
        case .firstWrite8G: "first 4K write + COMMIT, 8 GiB"
        case .overwrites: "2,000 random 4K overwrites x1"
        case .stored: "stored after 6,000 overwrites"
        case .halfSequential: "half-modified, sequential 64K x1"
        case .halfRandom: "half-modified, random 4K x1"
        case .renameDirectory: "rename of 1,000 files' directory"
        }
    }

    /// Of the file whose first write it is, in bytes.
    var firstWriteBytes: Int? {
        switch self {
        case .firstWrite1M: 1 << 20
        case .firstWrite1G: 1 << 30
        case .firstWrite8G: 8 << 30
        default: nil
        }
    }
}
