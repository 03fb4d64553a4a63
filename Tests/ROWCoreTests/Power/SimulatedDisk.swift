import Foundation

/// A disk that does what a log of events says, and loses power: whatever was not synced is there or
/// not, each sector and each name by itself.
struct SimulatedDisk {
    /// By numbers that are never used again. A file can have several names.
    enum Entry: Hashable {
        case file(Int)
        case directory(Int)
    }

    private struct Directory {
        /// What programs see.
        var names: [String: Entry] = [:]
        var durable: [String: Entry] = [:]
        /// What was made (or nil: removed) since the last sync, by name, in order.
        var pending: [(name: String, entry: Entry?)] = []
        /// Names that came by a rename within the directory, and which name went for it.
        var renamed: [String: String] = [:]
    }

    private var files: [SimulatedFile] = []
    /// The first is the one at the top, which was there before.
    private var directories = [Directory()]

    // MARK: Events

    mutating func apply(_ event: StorageEvent, at position: Int) {
        switch event {
        case .makeDirectory(let path): makeDirectories(path)
        case .create(let path):
            guard entry(path) == nil else { return }
            files.append(SimulatedFile())
            enter(path, .file(files.count - 1))
        case .write(let path, let offset, let bytes):
            add(.write(offset: offset, bytes), to: path, position)
        case .resize(let path, let size): add(.resize(size), to: path, position)
        case .remove(let path): enter(path, nil)
        case .rename(let path, let target): rename(path, target)
        case .link(let path, let target):
            if let entry = entry(path) { enter(target, entry) }
        case .sync, .syncDirectory: sync(event)
        case .failedSync(let path):
            switch entry(path) {
            case .file(let number): files[number].forget()
            case .directory(let number): directories[number].pending = []
            case nil: break
            }
        }
    }

    /// Does what a sync promises.
    mutating func sync(_ event: StorageEvent) {
        switch event {
        case .sync(let path, let withDirectory):
            if case .file(let number) = entry(path) { files[number].sync() }
            if withDirectory { syncDirectory(Self.parent(path)) }
        case .syncDirectory(let path): syncDirectory(path)
        default: break
        }
    }

    private mutating func add(
        _ kind: SimulatedFile.Change.Kind, to path: String, _ position: Int
    ) {
        // A file that has lost its name but is still open matters to nobody.
        guard case .file(let number) = entry(path) else { return }
        files[number].add(SimulatedFile.Change(position: position, kind: kind))
    }

    private mutating func makeDirectories(_ path: String) {
        guard !path.isEmpty, entry(path) == nil else { return }
        makeDirectories(Self.parent(path))
        directories.append(Directory())
        enter(path, .directory(directories.count - 1))
        if Self.parent(path).isEmpty { syncDirectory("") }
    }

    private mutating func rename(_ path: String, _ target: String) {
        guard let entry = entry(path), let parent = directory(Self.parent(target)) else { return }
        enter(target, entry)
        enter(path, nil)
        if directory(Self.parent(path)) == parent {
            directories[parent].renamed[Self.name(target)] = Self.name(path)
        }
    }

    private mutating func enter(_ path: String, _ entry: Entry?) {
        guard let parent = directory(Self.parent(path)) else { return }
        directories[parent].names[Self.name(path)] = entry
        directories[parent].pending.append((Self.name(path), entry))
    }

    private mutating func syncDirectory(_ path: String) {
        guard let number = directory(path) else { return }
        for change in directories[number].pending {
            directories[number].durable[change.name] = change.entry
        }
        directories[number].pending = []
        directories[number].renamed = [:]
    }

    // MARK: Names

    static func parent(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }

    static func name(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// What has a path now.
    func entry(_ path: String) -> Entry? {
        if path.isEmpty { return .directory(0) }
        guard let parent = directory(Self.parent(path)) else { return nil }
        return directories[parent].names[Self.name(path)]
    }

    private func directory(_ path: String) -> Int? {
        guard case .directory(let number) = entry(path) else { return nil }
        return number
    }

    func file(_ path: String) -> SimulatedFile? {
        guard case .file(let number) = entry(path) else { return nil }
        return files[number]
    }

    /// Whether a path leads to a file or directory.
    func hasName(_ entry: Entry) -> Bool {
        var queue = [0]
        while let number = queue.popLast() {
            for case let found in directories[number].names.values {
                if found == entry { return true }
                if case .directory(let below) = found { queue.append(below) }
            }
        }
        return false
    }

    // MARK: What is not synced

    /// The names that a sync of the directory would make durable, and that are still there.
    func unsyncedNames(of path: String) -> [String] {
        guard let number = directory(path) else { return [] }
        let found = directories[number]
        return Set(found.pending.map(\.name)).sorted().filter { name in
            let now = found.names[name]
            return now != nil && now != found.durable[name]
        }
    }

    /// Whether a sync would do nothing.
    func isSettled(_ event: StorageEvent) -> Bool {
        switch event {
        case .sync(let path, let withDirectory):
            file(path)?.pending.isEmpty ?? true
                && (!withDirectory || isSettled(Self.parent(path)))
        case .syncDirectory(let path): isSettled(path)
        default: true
        }
    }

    private func isSettled(_ path: String) -> Bool {
        directory(path).map { directories[$0].pending.isEmpty } ?? true
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
        collect(0, "", fate, &state)
        return state
    }

    private func collect(_ number: Int, _ path: String, _ fate: Fate, _ state: inout DiskState) {
        for (name, entry) in entries(of: number, fate).sorted(by: { $0.key < $1.key }) {
            let child = path.isEmpty ? name : path + "/" + name
            switch entry {
            case .directory(let below):
                state.directories.append(child)
                collect(below, child, fate, &state)
            case .file(let number):
                let file = files[number]
                let content =
                    file.pending.isEmpty
                    ? file.durable : file.content(fate.sectors(of: child, number))
                state.files.append((child, number, content))
            }
        }
    }

    private func entries(of number: Int, _ fate: Fate) -> [String: Entry] {
        let directory = directories[number]
        var entries = directory.durable
        for name in Set(directory.pending.map(\.name)).sorted() {
            let changes = directory.pending.filter { $0.name == name }
            let isLost = changes.contains { $0.entry != nil && $0.entry == fate.lost }
            let count = fate.entryTime(of: number, name, changes.count, isLost: isLost)
            if count > 0 { entries[name] = changes[count - 1].entry }
            // A rename within the directory does both or neither.
            guard let old = directory.renamed[name] else { continue }
            entries[old] = count > 0 ? nil : directory.durable[old]
        }
        return entries
    }
}

/// What happens to what is not synced.
struct Fate: CustomStringConvertible {
    var others: SectorChoice.Kind
    /// A file or directory that fares otherwise: nothing since its last sync is there.
    var lost: SimulatedDisk.Entry?
    var hasGarbage = false

    init(_ others: SectorChoice.Kind, lost: SimulatedDisk.Entry? = nil, hasGarbage: Bool = false) {
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
        if lost == .file(number) { return SectorChoice(.old, hasGarbage: hasGarbage) }
        guard case .random(let random) = others else {
            return SectorChoice(others, hasGarbage: hasGarbage)
        }
        // Each file's own fate, the same whenever it is asked for.
        return SectorChoice(
            .random(Randomness(seed: random.seed &+ UInt64(number) &* 7919)),
            hasGarbage: hasGarbage)
    }

    /// How many of the changes of a name in a directory are found.
    /// - Parameter isLost: it is of the file that fares otherwise.
    func entryTime(of directory: Int, _ name: String, _ count: Int, isLost: Bool) -> Int {
        // A journal's own sync is what makes its name durable.
        if lost == .directory(directory) || isLost && name.contains(".sqlite-") { return 0 }
        switch others {
        case .old: return 0
        case .new, .torn: return count
        case .random(let random):
            let salt = name.utf8.reduce(UInt64(directory)) { $0 &* 31 &+ UInt64($1) }
            var own = Randomness(seed: random.seed &+ salt)
            return own.below(count + 1)
        }
    }
}

/// Files and directories, to be written somewhere.
struct DiskState {
    var directories: [String] = []
    /// Several of the same number are names of one file.
    var files: [(path: String, number: Int, content: [UInt8])] = []

    func write(below root: String) throws {
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        for directory in directories where mkdir(root + "/" + directory, 0o700) != 0 {
            throw CocoaError(.fileWriteUnknown)
        }
        var names: [Int: String] = [:]
        for (path, number, content) in files {
            if let name = names[number] {
                guard link(name, root + "/" + path) == 0 else {
                    throw CocoaError(.fileWriteUnknown)
                }
                continue
            }
            names[number] = root + "/" + path
            let fd = open(root + "/" + path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
            guard fd >= 0 else { throw CocoaError(.fileWriteUnknown) }
            defer { close(fd) }
            let count = content.withUnsafeBytes { Foundation.write(fd, $0.baseAddress, $0.count) }
            guard count == content.count else { throw CocoaError(.fileWriteUnknown) }
        }
    }
}
