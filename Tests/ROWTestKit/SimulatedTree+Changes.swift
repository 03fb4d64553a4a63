import NFSProtocol

/// What a writable ``SimulatedNFSServer`` does to its tree.
extension SimulatedTree {
    /// The bytes of a file; nil for other objects.
    func bytes(of id: UInt64) -> [UInt8]? {
        guard case .file(let bytes)? = objects[id]?.content else { return nil }
        return bytes
    }

    mutating func write(_ data: ArraySlice<UInt8>, at offset: Int, to id: UInt64) {
        guard var bytes = bytes(of: id) else { return }
        let end = offset + data.count
        if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
        bytes.replaceSubrange(offset..<end, with: data)
        change(id, to: bytes)
    }

    mutating func setSize(_ size: Int, of id: UInt64) {
        guard let bytes = bytes(of: id) else { return }
        change(
            id, to: bytes.prefix(size) + [UInt8](repeating: 0, count: max(size - bytes.count, 0)))
    }

    func child(_ name: [UInt8], of directory: UInt64) -> UInt64? {
        guard case .directory(let entries, _)? = objects[directory]?.content else { return nil }
        return entries.first { $0.name == name }?.id
    }

    mutating func make(
        _ item: Item, _ name: [UInt8], in directory: UInt64, mode: UInt32?
    ) -> UInt64 {
        let id = add(item, parent: directory)
        change(directory) { $0.append((name, id)) }
        setMode(mode, of: id)
        return id
    }

    mutating func remove(_ name: [UInt8], from directory: UInt64) {
        if let id = child(name, of: directory) { forget(id) }
        change(directory) { $0.removeAll { $0.name == name } }
    }
}
