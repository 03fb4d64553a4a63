import NFSProtocol

/// What names stand for: the session's changes over the image.
extension SessionState {
    /// What the session did to a name, committed or not.
    func delta(
        _ directory: Node, _ name: UnsafeRawBufferPointer
    ) throws(Interrupt) -> SessionStore.Delta {
        guard directory.flags.contains(.hasDeltas) else { return .none }
        if directory.dirtyCommit > committed,
            let pending = pendingDeltas[
                ImageStore.NameKey(directory: directory.id, name: Array(name))]
        {
            return pending.delta
        }
        return try store.delta(directory.id, name)
    }

    /// The object that a name stands for, or nil; asks for a LOOKUP at main when nobody knows.
    func child(
        of directory: Node, named name: UnsafeRawBufferPointer
    ) throws(Interrupt) -> NodeID? {
        switch try delta(directory, name) {
        case .entry(let id, _): return id
        case .whiteout: return nil
        case .none: return try mainChild(of: directory, named: name)
        }
    }

    /// What main has under a name of a directory that shows the image.
    private func mainChild(
        of directory: Node, named name: UnsafeRawBufferPointer
    ) throws(Interrupt) -> NodeID? {
        guard directory.showsImage, Self.isPossible(name) else { return nil }
        if let id = try image.child(of: directory.id, named: name) { return id }
        if try isComplete(directory) { return nil }
        let key = ImageStore.NameKey(directory: directory.id, name: Array(name))
        if image.isKnownAbsent(key) { return nil }
        throw .need(.lookup(directory: key.directory, name: key.name))
    }

    func child(of directory: Node, named name: [UInt8]) throws(Interrupt) -> NodeID? {
        try name.withBytes { bytes throws(Interrupt) in try child(of: directory, named: bytes) }
    }

    /// Checks a name for use in this file system: 1...255 bytes, no slash or NUL, not `.` or `..`.
    func checkNewName(_ name: [UInt8]) throws(Interrupt) {
        guard !name.isEmpty else { throw .status(.inval) }
        guard name.count <= 255 else { throw .status(.nameTooLong) }
        let isPossible = name.withUnsafeBytes { Self.isPossible($0) }
        guard isPossible else { throw .status(.inval) }
        if name == [46] || name == [46, 46] { throw .status(.exist) }
    }

    /// Whether an object can have this name; others must not even reach main, which could take them
    /// for a path.
    private static func isPossible(_ name: UnsafeRawBufferPointer) -> Bool {
        !name.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
    }

    /// Lets a name stand for a node.
    func setName(_ directory: Node, _ name: [UInt8], to child: NodeID) {
        nextCookie += 1
        record(directory, name, .entry(child, cookie: nextCookie - 1))
        batch.rows.append(
            .delta(directory: directory.id, name: name, child: child, cookie: nextCookie - 1))
    }

    /// Takes a name away: a whiteout where main has or may have it, nothing otherwise.
    func removeName(_ directory: Node, _ name: [UInt8]) throws(Interrupt) {
        let mayBeInMain: Bool
        if directory.showsImage {
            let isKnown = try name.withBytes { bytes throws(Interrupt) in
                try image.child(of: directory.id, named: bytes) != nil
            }
            let isComplete = try isComplete(directory)
            mayBeInMain = isKnown || !isComplete
        } else {
            mayBeInMain = false
        }
        if mayBeInMain {
            record(directory, name, .whiteout)
            batch.rows.append(.delta(directory: directory.id, name: name, child: nil, cookie: 0))
        } else {
            record(directory, name, .none)
            batch.rows.append(.removeDelta(directory: directory.id, name: name))
        }
    }

    private func record(_ directory: Node, _ name: [UInt8], _ delta: SessionStore.Delta) {
        directory.flags.insert(.hasDeltas)
        touch(directory)
        let key = ImageStore.NameKey(directory: directory.id, name: name)
        pendingDeltas[key] = PendingDelta(delta: delta, commit: batch.number)
        batch.names.append(key)
        guard directory.hidden != nil else { return }
        do throws(Interrupt) {
            guard let cookie = try image.cookie(of: name, in: directory.id) else { return }
            directory.hidden?.hide(cookie)
        } catch {
            directory.hidden = nil
        }
    }
}
