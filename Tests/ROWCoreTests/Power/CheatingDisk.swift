@testable import ROWCore

/// A disk that cheats at one sync. Whoever relies on that sync must notice.
enum Cheat: CustomStringConvertible {
    /// The sync does nothing.
    case ignores(Int)
    /// The sync is done after the next one, and the power goes between the two.
    case swaps(Int)
    /// The sync is done after the next one of the session's log, and the power goes between the two.
    case delays(Int)

    var description: String {
        switch self {
        case .ignores(let index): "ignores sync \(index)"
        case .swaps(let index): "swaps syncs \(index) and \(index + 1)"
        case .delays(let index): "delays sync \(index) until after the next transaction"
        }
    }
}

/// What comes of a cheat.
enum CheatOutcome: Hashable, CustomStringConvertible {
    /// What was promised is not there.
    case foundOut
    case harmless(Harmless)
    /// Something is lost, and the check does not see it.
    case unnoticed

    var description: String {
        switch self {
        case .foundOut: "found out"
        case .harmless(let reason): "\(reason)"
        case .unnoticed: "unnoticed"
        }
    }
}

/// Reasons why a sync does not matter.
enum Harmless: String {
    /// It had nothing to do.
    case nothingUnsynced
    /// A later sync did it, before anybody was told of anything.
    case coveredBeforeAnyPromise
    /// The two syncs that change places are of the same file.
    case sameTarget
    /// The file is gone before anybody is told of anything.
    case fileGone
    /// No byte that could be lost was recorded and in use.
    case noByteInUse
    /// No name that could be lost was of a file in use.
    case noNameInUse
    /// SQLite reads the same rows without it, but for those that only tell of space and openings.
    case sameRows
    /// A transaction is lost that nobody was told of yet.
    case notPromised
    /// Numbers are no longer reserved, and none of them was given out.
    case noNumberInUse
}

/// Tries a disk that cheats at one sync.
struct CheatingDisk {
    let recording: PowerRecording
    /// Places of all syncs.
    let syncs: [Int]
    /// Before the sync.
    let disk: SimulatedDisk
    /// Which of the syncs.
    let index: Int

    private var start: Int { syncs[index] }
    private var sync: StorageEvent { recording.events[start] }
    private var lost: SimulatedDisk.Entry? { disk.entry(sync.target) }

    private var fates: [Fate] {
        [Fate(.new, lost: lost), Fate(.old), Fate(.new, lost: lost, hasGarbage: true)]
    }

    func outcome(_ cheat: Cheat) throws -> CheatOutcome {
        if disk.isSettled(sync) { return .harmless(.nothingUnsynced) }
        switch cheat {
        case .ignores: return try ignoring()
        case .swaps: return try doing(after: index + 1)
        case .delays:
            let commit = syncs[(index + 1)...].firstIndex {
                recording.events[$0].target == "state/session/session.sqlite-wal"
            }
            return try doing(after: commit ?? syncs.count)
        }
    }

    // MARK: Ignoring

    private func ignoring() throws -> CheatOutcome {
        let end = nextSync
        let range = start + 1..<end + 1
        let path = sync.target
        if isOfCopy {
            guard let copy = recording.copies.first(where: { range.contains($0.position) }) else {
                return .harmless(.coveredBeforeAnyPromise)
            }
            return try ignoring(copy)
        }
        let promises = recording.acknowledged.filter { range.contains($0.position) }
        if path.hasSuffix("/shadow") || !path.contains(".sqlite") && isFile {
            let isHarmed = { (promise: (position: Int, state: Int)) in
                isInUse(cut: promise.position, recording.states[promise.state])
            }
            guard let last = promises.last(where: isHarmed),
                let first = promises.first(where: isHarmed)
            else { return .harmless(isFile ? .noByteInUse : .noNameInUse) }
            let isFound = isFoundOut(first.position) || isFoundOut(last.position)
            return isFound ? .foundOut : .unnoticed
        }
        // What was promised before may depend on a database: the log that it came from is overwritten.
        // Anything else can only be missed by who was promised something since.
        let first = recording.firstPromise(in: range, on: path)
        if first == nil, !path.hasSuffix(".sqlite") {
            return .harmless(.coveredBeforeAnyPromise)
        }
        // Snapshots and clones can go with a directory, which no row tells of.
        if !isFile, isFoundOut(first ?? end) || isFoundOut(end) { return .foundOut }
        let within = syncs.filter { start < $0 && $0 < end }.suffix(2) + [end]
        return try compareRows(at: Set(within + [first ?? end]).sorted())
    }

    /// A sync of a snapshot or clone that is being made.
    private func ignoring(_ copy: PowerRecording.Copy) throws -> CheatOutcome {
        if let lost, !later(copy.position).hasName(lost) { return .harmless(.fileGone) }
        if isFoundOut(copy.position) { return .foundOut }
        guard sync.target.hasSuffix("/shadow"),
            !isInUse(cut: copy.position, recording.states[copy.state])
        else { return .unnoticed }
        return .harmless(.noNameInUse)
    }

    private var isFile: Bool {
        if case .file = lost { true } else { false }
    }

    /// The place of the next sync that does what this one did.
    private var nextSync: Int {
        let later = syncs[(index + 1)...].first { place in
            switch (sync, recording.events[place]) {
            case (.sync(let path, _), .sync(let other, _)): path == other
            case (.syncDirectory(let path), .syncDirectory(let other)): path == other
            case (.syncDirectory(let path), .sync(let other, true)):
                path == SimulatedDisk.parent(other)
            default: false
            }
        }
        return later ?? recording.events.count
    }

    // MARK: Swapping

    /// The power goes when a later sync is done and this one is not.
    private func doing(after other: Int) throws -> CheatOutcome {
        guard other < syncs.count else { return .harmless(.coveredBeforeAnyPromise) }
        let next = recording.events[syncs[other]]
        if next.target == sync.target { return .harmless(.sameTarget) }
        let cut = syncs[other] + 1
        let path = sync.target
        if path.hasSuffix("/shadow") && !isOfCopy || !path.contains(".sqlite") && isFile {
            let disk = later(cut)
            var isUsed = false
            for fate in fates {
                guard let found = check(disk, cut, fate) else { return .foundOut }
                isUsed = isUsed || isInUse(cut: cut, recording.states[found.state])
            }
            if isUsed { return .unnoticed }
            return .harmless(isFile ? .noByteInUse : .noNameInUse)
        }
        guard isOfCopy || !isFile else { return try compareRows(at: [cut]) }
        if isFoundOut(cut) { return .foundOut }
        let isPromised = recording.firstPromise(in: start + 1..<cut + 1, on: path) != nil
        return isPromised && !isOfCopy
            ? try compareRows(at: [cut]) : .harmless(.coveredBeforeAnyPromise)
    }

    /// Whether it belongs to a snapshot or clone that is being made and has no name yet.
    private var isOfCopy: Bool { sync.target.contains("/snapshots/.") }

    // MARK: What is lost

    /// The disk at a later time, without the sync.
    private func later(_ cut: Int, isHonest: Bool = false) -> SimulatedDisk {
        var disk = disk
        if isHonest { disk.sync(sync) }
        for place in start + 1..<cut { disk.apply(recording.events[place], at: place) }
        return disk
    }

    /// - Returns: nil when what was promised is missing.
    private func check(_ disk: SimulatedDisk, _ cut: Int, _ fate: Fate) -> PowerCheck.Found? {
        let concernsCopies = !isFile || sync.target.contains("/snapshots/")
        let depth: PowerCheck.Depth = concernsCopies ? .copies : .session
        return try? PowerCheck(recording: recording, cut: cut).check(disk.state(fate), depth)
    }

    private func isFoundOut(_ cut: Int) -> Bool {
        let disk = later(cut)
        return fates.contains { check(disk, cut, $0) == nil }
    }

    /// Looks for rows that are lost with the sync, and then whether that is noticed.
    private func compareRows(at cuts: [Int]) throws -> CheatOutcome {
        var outcome = CheatOutcome.harmless(.sameRows)
        for cut in cuts {
            let (cheated, honest) = (later(cut), later(cut, isHonest: true))
            for fate in fates.prefix(2) {
                let (state, other) = (cheated.state(fate), honest.state(fate))
                if try DatabaseRows.areSame(state, other) { continue }
                guard let found = check(cheated, cut, fate) else { return .foundOut }
                let isPromised = recording.opened.contains { $0.position <= cut }
                // It may still be found out at a later place.
                if try DatabaseRows.areSame(state, other, butForReservations: true) {
                    if outcome != .unnoticed { outcome = .harmless(.noNumberInUse) }
                } else if isPromised, found == check(honest, cut, fate) {
                    outcome = .unnoticed
                } else if outcome != .unnoticed {
                    outcome = .harmless(.notPromised)
                }
            }
        }
        return outcome
    }

    /// Whether a state shows what the sync would have made durable.
    private func isInUse(cut: Int, _ state: PowerRecording.State) -> Bool {
        isFile ? hasByteInUse(cut, state) : hasNameInUse(cut, state)
    }

    /// The object whose data a shadow file holds.
    private func object(_ path: String) -> Int? {
        guard let id = LayerID(fileName: SimulatedDisk.name(path))?.node else { return nil }
        return recording.exposed.first { $0.value.id == id }?.key
    }

    /// Whether an unsynced byte of the shadow file is one that the state shows.
    private func hasByteInUse(_ cut: Int, _ state: PowerRecording.State) -> Bool {
        let path = sync.target
        guard let object = object(path), let file = disk.file(path),
            let data = state.tree.objects[object]?.data
        else { return false }
        let new = file.content(SectorChoice(.new))
        let old = file.content(SectorChoice(.old))
        var limit = min(data.count, new.count)
        for place in start..<cut {
            if case .resize(path, let size) = recording.events[place] { limit = min(limit, size) }
        }
        return file.pending.contains { change in
            guard case .write(let offset, let bytes) = change.kind,
                isRecorded(object, change.position, state)
            else { return false }
            return (offset..<max(offset, min(offset + bytes.count, limit))).contains { place in
                new[place] == data[place]
                    && (!file.isDurable(place) || place >= old.count || old[place] != new[place])
            }
        }
    }

    /// Whether a state knows of the write that was being carried out at a position.
    private func isRecorded(
        _ object: Int, _ position: Int, _ state: PowerRecording.State
    ) -> Bool {
        let writes = recording.writes
        let index = writes.lastIndex { $0.object == object && $0.position <= position }
        guard let index, index < state.writeCount else { return false }
        let write = writes[index].write
        return !(state.unrecorded[object] ?? []).contains {
            $0.offset == write.offset && $0.bytes == write.bytes
        }
    }

    /// Whether an unsynced name of the shadow is of a file without which the state is another one.
    private func hasNameInUse(_ cut: Int, _ state: PowerRecording.State) -> Bool {
        let directory = sync.target
        let removed = recording.events[start..<cut].compactMap { event in
            if case .remove(let path) = event { path } else { nil }
        }
        return disk.unsyncedNames(of: directory).contains { name in
            let path = directory + "/" + name
            guard let object = object(name), let data = state.tree.objects[object]?.data,
                let file = disk.file(path), !removed.contains(path)
            else { return false }
            // Eight bytes that are neither main's nor zeros do not come together by chance.
            let below = recording.main.objects[object]?.data ?? []
            let content = file.content(SectorChoice(.new))
            return stride(from: 0, to: min(data.count, content.count) - 7, by: 8).contains {
                place in
                let part = place..<place + 8
                return data[part] == content[part] && data[part].contains { $0 != 0 }
                    && (part.upperBound > below.count || data[part] != below[part])
            }
        }
    }
}
