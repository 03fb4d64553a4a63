import CLinux
import Glibc

/// Files and directories as the kernel knows them.
enum Paths {
    /// Without links in it; nil when there is nothing.
    static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// What a path names; nil when there is nothing.
    static func attributes(_ path: String) -> clinux_stat? {
        var status = clinux_stat()
        return clinux_fstatat(AT_FDCWD, path, 0, &status) == 0 ? status : nil
    }

    /// A directory and all above it.
    static func ancestors(_ path: String) -> [String] {
        var all = [path]
        while let last = all.last, last != "/", let slash = last.lastIndex(of: "/") {
            all.append(slash == last.startIndex ? "/" : String(last[..<slash]))
        }
        return all
    }

    /// The path itself, or what is nearest above it.
    static func nearestExisting(_ path: String) -> String {
        ancestors(path).lazy.compactMap(resolved).first ?? "/"
    }

    /// A user's name, or its number.
    static func userName(_ id: UInt32) -> String {
        guard let entry = getpwuid(id) else { return "\(id)" }
        return String(cString: entry.pointee.pw_name)
    }
}
