import NFSProtocol

/// The image that a session is to stand on: its objects are looked up, and so get their numbers.
final class NewImage {
    let image: Image
    private var children: [EntryName: ImageRecord?] = [:]

    init(_ image: Image) { self.image = image }

    func object(_ id: NodeID) async throws(ROWError) -> ImageRecord {
        let found = try await image.ask { store throws(Interrupt) in try store.record(of: id) }
        guard let found else { throw ROWError(.stale) }
        return found
    }

    /// What stands under a name.
    func child(_ name: EntryName) async throws(ROWError) -> ImageRecord? {
        if let known = children[name] { return known }
        let found = try await image.ask { store throws(Interrupt) -> ImageRecord? in
            let id = try name.name.withBytes { bytes throws(Interrupt) in
                try store.child(of: name.directory, named: bytes)
            }
            if let id { return try store.record(of: id) }
            let key = ImageStore.NameKey(directory: name.directory, name: name.name)
            if store.isKnownAbsent(key) || store.isComplete(name.directory) { return nil }
            throw .need(.lookup(directory: name.directory, name: name.name))
        }
        children.updateValue(found, forKey: name)
        return found
    }

    /// All that is in a directory.
    func entries(of directory: NodeID) async throws(ROWError) -> [(name: EntryName, ImageRecord)] {
        let found = try await image.ask { store throws(Interrupt) in
            guard store.isComplete(directory) else { throw .need(.listing(directory: directory)) }
            var names: [(name: [UInt8], id: NodeID)] = []
            try store.forEachEntry(of: directory, after: 0) { _, name, child in
                names.append((name, child))
                return true
            }
            var entries: [(name: EntryName, ImageRecord)] = []
            for (name, id) in names {
                guard let record = try store.record(of: id) else { throw .status(.stale) }
                entries.append((EntryName(directory: directory, name: name), record))
            }
            return entries
        }
        for (name, record) in found { children.updateValue(record, forKey: name) }
        return found
    }

    func target(_ id: NodeID) async throws(ROWError) -> [UInt8] {
        try await image.ask { store throws(Interrupt) in
            guard let target = try store.target(of: id) else { throw .need(.target(id)) }
            return target
        }
    }

    /// - Parameter range: bytes below the file's size; not empty.
    func data(_ id: NodeID, _ range: Range<UInt64>) async throws(ROWError) -> [UInt8] {
        try await image.read(id, range)
    }

    func path(_ id: NodeID) async throws(ROWError) -> [UInt8] {
        let path = try await image.ask { store throws(Interrupt) in store.path(of: id) }
        guard let path else { throw ROWError(.stale) }
        return path
    }

    /// What tells its database, and the state that it is in, from others.
    func standing() async throws(ROWError) -> (epoch: UInt64, generation: UInt64) {
        try await image.ask { store throws(Interrupt) in (store.epoch, store.generation) }
    }
}
