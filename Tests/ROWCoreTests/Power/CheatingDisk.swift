@testable import ROWCore

/// A disk that cheats at one sync. Whoever relies on that sync must notice.
enum Cheat: CustomStringConvertible {
    /// The sync does nothing.
    case ignores(Int)
    /// The sync and the next one change places.
    case swaps(Int)

    var description: String {
        switch self {
        case .ignores(let index): "ignores sync \(index)"
        case .swaps(let index): "swaps syncs \(index) and \(index + 1)"
        }
    }
}

/// A time in which something is not on disk that should be.
struct Lapse {
    /// After the event at `start`.
    let disk: SimulatedDisk
    let start: Int
    /// The sync that has not been done.
    let sync: StorageEvent
    /// The place of the next sync that makes up for it.
    let end: Int

    /// Why nothing depends on it, if that can be seen without looking at what is lost.
    func isHarmless(_ recording: PowerRecording) -> Harmless? {
        if disk.isSettled(sync) { return .nothingUnsynced }
        // What was promised before may depend on a database: the log that it came from is overwritten.
        // Anything else can only be missed by who was promised something since.
        let isDatabase = sync.target.hasSuffix(".sqlite")
        let hasPromise = recording.hasPromise(in: start + 1..<end + 1)
        return hasPromise || isDatabase ? nil : .coveredBeforeAnyPromise
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
    /// No byte that could be lost was recorded and in use when anything was promised.
    case noByteInUse
    /// No name that could be lost was of a file in use.
    case noNameInUse
    /// SQLite reads the same rows without it, but for those that only tell of space and openings.
    case sameRows
}

extension PowerRecording {
    /// What a cheat comes to.
    /// - Parameter disk: before the sync.
    func lapses(_ cheat: Cheat, _ disk: SimulatedDisk, _ syncs: [Int]) -> [Lapse] {
        switch cheat {
        case .ignores(let index):
            return [
                Lapse(
                    disk: disk, start: syncs[index], sync: events[syncs[index]],
                    end: end(of: syncs[index], after: syncs[index]))
            ]
        case .swaps(let index):
            guard index + 1 < syncs.count else { return [] }
            let (first, second) = (syncs[index], syncs[index + 1])
            guard events[first].target != events[second].target else { return [] }
            var disk = disk
            disk.sync(events[second])
            let before = Lapse(disk: disk, start: first, sync: events[first], end: second)
            for place in first + 1..<second { disk.apply(events[place], at: place) }
            disk.sync(events[first])
            let after = Lapse(
                disk: disk, start: second, sync: events[second],
                end: end(of: second, after: second))
            return [before, after]
        }
    }

    /// The place of the next sync that does what the one at `place` did.
    private func end(of place: Int, after start: Int) -> Int {
        let sync = events[place]
        let later = events.indices[(start + 1)...].first { place in
            switch (sync, events[place]) {
            case (.sync(let path, _), .sync(let other, _)): path == other
            case (.syncDirectory(let path), .syncDirectory(let other)): path == other
            case (.syncDirectory(let path), .sync(let other, true)):
                path == SimulatedDisk.parent(other)
            default: false
            }
        }
        return later ?? events.count
    }

    // MARK: What is lost

    /// Whether anything that was promised during a lapse can be missing because of it.
    func reasonOfHarmlessness(_ lapse: Lapse, _ cuts: [Int], _ fates: [Fate]) throws -> Harmless? {
        switch lapse.sync {
        case .syncDirectory(let path):
            return hasNameInUse(lapse, path) ? nil : .noNameInUse
        case .sync(let path, _) where path.contains(".sqlite"):
            return try hasOtherRows(lapse, cuts, fates) ? nil : .sameRows
        case .sync(let path, _):
            return hasByteInUse(lapse, path) ? nil : .noByteInUse
        default: return nil
        }
    }

    /// The object whose data a shadow file holds.
    private func object(_ path: String) -> Int? {
        guard let id = LayerID(fileName: SimulatedDisk.name(path))?.node else { return nil }
        return exposed.first { $0.value.id == id }?.key
    }

    /// What clients were promised in these places.
    private func promises(_ lapse: Lapse) -> [(position: Int, state: State)] {
        acknowledged.filter { (lapse.start + 1...lapse.end).contains($0.position) }
            .map { ($0.position, states[$0.state]) }
    }

    /// Whether an unsynced byte of a shadow file is one that a promised state shows.
    private func hasByteInUse(_ lapse: Lapse, _ path: String) -> Bool {
        guard let object = object(path), let file = lapse.disk.file(path) else { return false }
        let new = file.content(SectorChoice(.new))
        let old = file.content(SectorChoice(.old))
        return promises(lapse).contains { position, state in
            guard let data = state.tree.objects[object]?.data else { return false }
            var limit = min(data.count, new.count)
            for place in lapse.start..<position {
                if case .resize(path, let size) = events[place] { limit = min(limit, size) }
            }
            return file.pending.contains { change in
                guard case .write(let offset, let bytes) = change.kind,
                    isRecorded(object, change.position, state)
                else { return false }
                return (offset..<max(offset, min(offset + bytes.count, limit))).contains { place in
                    new[place] == data[place]
                        && (!file.isDurable(place) || old[place] != new[place])
                }
            }
        }
    }

    /// Whether a state knows of the write that was being carried out at a position.
    private func isRecorded(_ object: Int, _ position: Int, _ state: State) -> Bool {
        let index = writes.lastIndex { $0.object == object && $0.position <= position }
        guard let index, index < state.writeCount else { return false }
        let write = writes[index].write
        return !(state.unrecorded[object] ?? []).contains {
            $0.offset == write.offset && $0.bytes == write.bytes
        }
    }

    /// Whether an unsynced name is of a file that a promised state needs.
    private func hasNameInUse(_ lapse: Lapse, _ directory: String) -> Bool {
        lapse.disk.unsyncedNames(of: directory).contains { name in
            if ["lock", "ballast"].contains(name) || name.hasSuffix("-journal") { return false }
            let path = directory + "/" + name
            guard directory.hasSuffix("/shadow") else { return true }
            guard let object = object(path) else { return false }
            let below = main.objects[object]?.data ?? []
            return promises(lapse).contains { _, state in
                guard let data = state.tree.objects[object]?.data else { return false }
                // Without the file, it is main's or zeros.
                return data != below && data.contains { $0 != 0 }
            }
        }
    }

    private func hasOtherRows(_ lapse: Lapse, _ cuts: [Int], _ fates: [Fate]) throws -> Bool {
        for cut in cuts {
            var cheated = lapse.disk
            var honest = lapse.disk
            honest.sync(lapse.sync)
            for place in lapse.start + 1..<cut {
                cheated.apply(events[place], at: place)
                honest.apply(events[place], at: place)
            }
            for fate in fates {
                let found = try DatabaseRows.read(cheated.state(fate))
                if try found != DatabaseRows.read(honest.state(fate)) { return true }
            }
        }
        return false
    }
}
