@testable import ROWCore

/// A listing under way, page by page, of a directory that changes meanwhile.
final class DirectoryScan {
    let directory: Int
    private(set) var cookie: UInt64 = 0
    /// Names that stood at the start and that nothing has happened to since.
    private var standing: Set<String>
    /// What the names stood for when last looked at.
    private var children: [String: Int]
    private var seen: [String: Int] = [:]
    /// Names that were ever there.
    private var possible: Set<String>
    /// Names that came or went: they may be seen more than once.
    private var changed: Set<String> = []

    init(_ directory: Int, _ tree: PlainTree) {
        self.directory = directory
        children = tree[directory].children
        standing = Set(children.keys)
        possible = standing
    }

    /// Objects were changed.
    func changed(_ edited: Set<Int>, _ tree: PlainTree) {
        guard edited.contains(directory), let now = tree.objects[directory]?.children else {
            return
        }
        for name in Set(now.keys).union(children.keys) where now[name] != children[name] {
            standing.remove(name)
            changed.insert(name)
        }
        possible.formUnion(now.keys)
        children = now
    }

    /// Changes may have been taken back; all of them concern names that are in `changed` already.
    func crashed() { standing.subtract(changed) }

    /// - Returns: what is wrong with a page.
    func add(_ entries: [SessionState.DirectoryEntry]) -> String? {
        for entry in entries {
            let name = String(decoding: entry.name, as: UTF8.self)
            if entry.cookie <= cookie { return "cookie \(entry.cookie) after \(cookie)" }
            cookie = entry.cookie
            if name == "." || name == ".." { continue }
            if !possible.contains(name) { return "a name that never was: \(name)" }
            seen[name, default: 0] += 1
            if seen[name] != 1, !changed.contains(name) { return "\(name) is listed twice" }
        }
        return nil
    }

    /// - Returns: what is wrong with the whole listing.
    func finish() -> String? {
        let lost = standing.filter { seen[$0] == nil }
        return lost.isEmpty ? nil : "\(lost.sorted()) stood there and are not listed"
    }
}
