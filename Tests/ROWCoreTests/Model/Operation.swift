import NFSProtocol

/// One procedure on objects of the model, by their numbers there.
enum Operation {
    case lookup(Int, String)
    case create(Int, String, NFS3.CreateMode)
    case mkdir(Int, String, UInt32)
    case symlink(Int, String, String)
    case mknod(Int, String, NFS3.FileType, UInt32)
    case link(Int, Int, String)
    case remove(Int, String)
    case rmdir(Int, String)
    case rename(Int, String, Int, String)
    case setattr(Int, NFS3.SetAttributes)
    case write(Int, offset: Int, ArraySlice<UInt8>, NFS3.Stability)
    case commit(Int)
    case read(Int, offset: Int, count: Int)
    case readlink(Int)
    case access(Int)
}

extension Operation: CustomStringConvertible {
    var description: String {
        switch self {
        case .lookup(let directory, let name): "lookup \(directory)/\(name)"
        case .create(let directory, let name, let mode):
            switch mode {
            case .unchecked(let new): "create \(directory)/\(name) unchecked \(Self.text(new))"
            case .guarded(let new): "create \(directory)/\(name) guarded \(Self.text(new))"
            case .exclusive(let verifier): "create \(directory)/\(name) exclusive \(verifier)"
            }
        case .mkdir(let directory, let name, let mode):
            "mkdir \(directory)/\(name) \(String(mode, radix: 8))"
        case .symlink(let directory, let name, let target):
            "symlink \(directory)/\(name) -> \(target)"
        case .mknod(let directory, let name, let type, _): "mknod \(directory)/\(name) \(type)"
        case .link(let object, let directory, let name): "link \(object) \(directory)/\(name)"
        case .remove(let directory, let name): "remove \(directory)/\(name)"
        case .rmdir(let directory, let name): "rmdir \(directory)/\(name)"
        case .rename(let from, let old, let to, let new): "rename \(from)/\(old) \(to)/\(new)"
        case .setattr(let object, let new): "setattr \(object) \(Self.text(new))"
        case .write(let object, let offset, let bytes, let stable):
            "write \(object) \(offset)..<\(offset + bytes.count) \(stable)"
        case .commit(let object): "commit \(object)"
        case .read(let object, let offset, let count): "read \(object) \(offset) +\(count)"
        case .readlink(let object): "readlink \(object)"
        case .access(let object): "access \(object)"
        }
    }

    private static func text(_ new: NFS3.SetAttributes) -> String {
        var parts: [String] = []
        if let mode = new.mode { parts.append("mode \(String(mode, radix: 8))") }
        if let uid = new.uid { parts.append("uid \(uid)") }
        if let gid = new.gid { parts.append("gid \(gid)") }
        if let size = new.size { parts.append("size \(size)") }
        if new.mtime != .dontChange { parts.append("mtime \(new.mtime)") }
        return parts.joined(separator: " ")
    }
}
