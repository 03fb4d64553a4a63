import Foundation

/// A disk that does what a log of events says, and loses power: whatever was not synced is there or
/// not, each sector and each name by itself.
struct SimulatedDisk {
    enum Entry: Hashable {
        case file(Int)
        case directory
    }

    private struct Directory {
        var durable: [String: Entry] = [:]
        /// What was made (or nil: removed) since the last sync, by name, in order.
        var pending: [(name: String, entry: Entry?)] = []
        /// Names that came by a rename, and which name went for it.
        var renamed: [String: String] = [:]
    }

    /// Files by numbers that are never used again.
    private(set) var files: [SimulatedFile] = []
    private var directories: [String: Directory] = ["": Directory()]
    /// What programs see.
    private(set) var names: [String: Entry] = [:]

    // MARK: Events

    mutating func apply(_ event: StorageEvent, at position: Int) {
        switch event {
        case .makeDirectory(let path): makeDirectories(path)
        case .create(let path):
            guard names[path] == nil else { return }
            files.append(SimulatedFile())
            enter(path, .file(files.count - 1))
        case .write(let path, let offset, let bytes):
            add(.write(offset: offset, bytes), to: path, position)
        case .resize(let path, let size): add(.resize(size), to: path, position)
        case .remove(let path): enter(path, nil)
        case .rename(let path, let target):
            guard let entry = names[path] else { return }
            enter(target, entry)
            enter(path, nil)
            directories[Self.parent(target)]?.renamed[Self.name(target)] = path
        case .sync, .syncDirectory: sync(event)
        }
    }

    /// Does what a sync promises.
    mutating func sync(_ event: StorageEvent) {
        switch event {
        case .sync(let path, let withDirectory):
            if case .file(let number) = names[path] { files[number].sync() }
            if withDirectory { syncDirectory(Self.parent(path)) }
        case .syncDirectory(let path): syncDirectory(path)
        default: break
        }
    }

    private mutating func add(
        _ kind: SimulatedFile.Change.Kind, to path: String, _ position: Int
    ) {
        // A file that has lost its name but is still open matters to nobody.
        guard case .file(let number) = names[path] else { return }
        files[number].add(SimulatedFile.Change(position: position, kind: kind))
    }

    private mutating func makeDirectories(_ path: String) {
        guard !path.isEmpty, names[path] == nil else { return }
        makeDirectories(Self.parent(path))
        directories[path] = Directory()
        enter(path, .directory)
        // The one at the top was there before.
        if Self.parent(path).isEmpty { syncDirectory("") }
    }

    private mutating func enter(_ path: String, _ entry: Entry?) {
        names[path] = entry
        directories[Self.parent(path)]?.pending.append((Self.name(path), entry))
    }

    private mutating func syncDirectory(_ path: String) {
        guard let pending = directories[path]?.pending else { return }
        for change in pending { directories[path]?.durable[change.name] = change.entry }
        directories[path]?.pending = []
        directories[path]?.renamed = [:]
    }

    static func parent(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }

    static func name(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    // MARK: What is not synced

    /// The names that a sync of the directory would make durable, and that are still there.
    func unsyncedNames(of directory: String) -> [String] {
        guard let found = directories[directory] else { return [] }
        return Set(found.pending.map(\.name)).sorted().filter { name in
            let now = names[directory + "/" + name]
            return now != nil && now != found.durable[name]
        }
    }

    func file(_ path: String) -> SimulatedFile? {
        guard case .file(let number) = names[path] else { return nil }
        return files[number]
    }

    /// Whether a sync would do nothing.
    func isSettled(_ event: StorageEvent) -> Bool {
        switch event {
        case .sync(let path, let withDirectory):
            file(path)?.pending.isEmpty ?? true
                && (!withDirectory || directories[Self.parent(path)]?.pending.isEmpty ?? true)
        case .syncDirectory(let path): directories[path]?.pending.isEmpty ?? true
        default: true
        }
    }

    // MARK: The power is gone

    /// What is found when the power is back.
    func state(_ fate: Fate) -> DiskState {
        var state = DiskState()
        var fate = fate
        if case .torn(_, let keeping) = fate.others {
            let positions = files.flatMap { $0.pending.map(\.position) }
            fate.others = .torn(position: positions.max() ?? 0, keeping: keeping)
        }
        collect("", fate, &state)
        return state
    }

    private func collect(_ path: String, _ fate: Fate, _ state: inout DiskState) {
        guard let directory = directories[path] else { return }
        for (name, entry) in entries(of: directory, path, fate).sorted(by: { $0.key < $1.key }) {
            let child = path.isEmpty ? name : path + "/" + name
            switch entry {
            case .directory:
                state.directories.append(child)
                collect(child, fate, &state)
            case .file(let number):
                let file = files[number]
                let content =
                    file.pending.isEmpty
                    ? file.durable : file.content(fate.sectors(of: child, number))
                state.files.append((child, content))
            }
        }
    }

    private func entries(
        of directory: Directory, _ path: String, _ fate: Fate
    ) -> [String: Entry] {
        var entries = directory.durable
        for name in Set(directory.pending.map(\.name)).sorted() {
            let changes = directory.pending.filter { $0.name == name }
            let count = fate.entryTime(of: path, name, changes.count)
            if count > 0 { entries[name] = changes[count - 1].entry }
            // A rename within the directory does both or neither.
            guard let old = directory.renamed[name], Self.parent(old) == path else { continue }
            entries[Self.name(old)] = count > 0 ? nil : directory.durable[Self.name(old)]
        }
        return entries
    }
}

/// What happens to what is not synced.
struct Fate: CustomStringConvertible {
    var others: SectorChoice.Kind
    /// A file or directory that fares otherwise: nothing since its last sync is there.
    var lost: String?
    var hasGarbage = false

    init(_ others: SectorChoice.Kind, lost: String? = nil, hasGarbage: Bool = false) {
        self.others = others
        self.lost = lost
        self.hasGarbage = hasGarbage
    }

    var description: String {
        let parts: [String] = [
            "\(others)".prefix { $0 != "(" } + "", lost.map { "\($0) is lost" } ?? "",
            hasGarbage ? "garbage" : "",
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: ", ")
    }

    func sectors(of path: String, _ number: Int) -> SectorChoice {
        // SQLite does not claim to stand garbage; no file system shows any in files that grow.
        let hasGarbage = hasGarbage && !path.contains(".sqlite")
        if path == lost { return SectorChoice(.old, hasGarbage: hasGarbage) }
        guard case .random(let random) = others else {
            return SectorChoice(others, hasGarbage: hasGarbage)
        }
        // Each file's own fate, the same whenever it is asked for.
        return SectorChoice(
            .random(Randomness(seed: random.seed &+ UInt64(number) &* 7919)),
            hasGarbage: hasGarbage)
    }

    func entryTime(of directory: String, _ name: String, _ count: Int) -> Int {
        // A file's own sync may be what makes its name durable.
        let path = directory + "/" + name
        if directory == lost || path == lost && path.contains(".sqlite-") { return 0 }
        switch others {
        case .old: return 0
        case .new, .torn: return count
        case .random(let random):
            let salt = path.utf8.reduce(0 as UInt64) { $0 &* 31 &+ UInt64($1) }
            var own = Randomness(seed: random.seed &+ salt)
            return own.below(count + 1)
        }
    }
}

/// Files and directories, to be written somewhere.
struct DiskState {
    var directories: [String] = []
    var files: [(path: String, content: [UInt8])] = []

    func write(below root: String) throws {
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        for directory in directories where mkdir(root + "/" + directory, 0o700) != 0 {
            throw CocoaError(.fileWriteUnknown)
        }
        for (path, content) in files {
            let fd = open(root + "/" + path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
            guard fd >= 0 else { throw CocoaError(.fileWriteUnknown) }
            defer { close(fd) }
            let count = content.withUnsafeBytes { Foundation.write(fd, $0.baseAddress, $0.count) }
            guard count == content.count else { throw CocoaError(.fileWriteUnknown) }
        }
    }
}
