public import NFSProtocol
public import SystemPackage

/// The tree: what is there, and changes of names and attributes. Errors carry the NFS status of the
/// procedure that each method names.
extension Session {
    /// An object in a directory.
    public struct Entry: Sendable, Hashable {
        /// Where it is in the session; its last component is its name.
        public let path: FilePath
        public let attributes: NFS3.Attributes
    }

    /// Reads an object's attributes (GETATTR, RFC 1813 §3.3.1); a symbolic link's are its own.
    public func attributes(_ path: FilePath) async throws(ROWError) -> NFS3.Attributes {
        try await run(path) { state throws(Interrupt) in
            try state.attributes(of: try find(path.names, state))
        }
    }

    /// Lists a directory (READDIR, RFC 1813 §3.3.16), without `.` and `..`.
    /// - Returns: first what the image has in its order, then what the session made, oldest first.
    public func list(_ path: FilePath) async throws(ROWError) -> [Entry] {
        var entries: [Entry] = []
        var last: UInt64 = 2
        var isComplete = false
        while !isComplete {
            isComplete = try await run(path) { state throws(Interrupt) in
                let directory = try find(path.names, state)
                // A page is thrown away whole when it turns out that something is missing.
                var page: [SessionState.DirectoryEntry] = []
                let isLast = try state.readDirectory(
                    directory, after: last, options.credential
                ) { entry in
                    guard page.count < 512 else { return false }
                    page.append(entry)
                    return true
                }
                guard !page.isEmpty || isLast else {
                    throw .need(.listing(directory: directory))
                }
                let found = try page.map { entry throws(Interrupt) in
                    Entry(
                        path: FilePath(bytes: path.bytes + [UInt8(ascii: "/")] + entry.name),
                        attributes: try state.attributes(of: entry.id))
                }
                entries += found
                last = page.last?.cookie ?? last
                return isLast
            }
        }
        return entries
    }

    /// Reads a symbolic link's text (READLINK, RFC 1813 §3.3.5).
    public func readLink(_ path: FilePath) async throws(ROWError) -> FilePath {
        let text = try await run(path) { state throws(Interrupt) in
            try state.target(of: try find(path.names, state))
        }
        return FilePath(bytes: text)
    }

    /// Makes an empty regular file (CREATE, RFC 1813 §3.3.8); EXIST when the name is taken.
    /// - Parameter mode: permission bits.
    public func create(_ path: FilePath, mode: UInt32 = 0o644) async throws(ROWError) {
        try await changeName(path, existing: .exist) { state, directory, name throws(Interrupt) in
            _ = try state.create(
                directory, name, .guarded(NFS3.SetAttributes(mode: mode)), options.credential)
        }
    }

    /// Makes a directory (MKDIR, RFC 1813 §3.3.9).
    /// - Parameter mode: permission bits.
    public func makeDirectory(_ path: FilePath, mode: UInt32 = 0o755) async throws(ROWError) {
        try await changeName(path, existing: .exist) { state, directory, name throws(Interrupt) in
            _ = try state.makeDirectory(
                directory, name, NFS3.SetAttributes(mode: mode), options.credential)
        }
    }

    /// Makes a symbolic link (SYMLINK, RFC 1813 §3.3.10).
    /// - Parameter target: its text, which nothing interprets here.
    public func makeSymbolicLink(
        _ path: FilePath, to target: FilePath
    ) async throws(ROWError) {
        try await changeName(path, existing: .exist) { state, directory, name throws(Interrupt) in
            _ = try state.makeSymbolicLink(
                directory, name, target: target.bytes, NFS3.SetAttributes(), options.credential)
        }
    }

    /// Gives an object that is not a directory one more name (LINK, RFC 1813 §3.3.15).
    public func link(_ existing: FilePath, as path: FilePath) async throws(ROWError) {
        try await changeName(path, existing: .exist) { state, directory, name throws(Interrupt) in
            _ = try state.link(
                try find(existing.names, state), directory, name, options.credential)
        }
    }

    /// Changes mode, owner, size or times (SETATTR, RFC 1813 §3.3.2).
    public func setAttributes(
        _ path: FilePath, _ new: NFS3.SetAttributes
    ) async throws(ROWError) {
        try await change(path) { state throws(Interrupt) in
            _ = try state.setAttributes(
                try find(path.names, state), new, guardTime: nil, options.credential)
        }
    }

    /// Makes a regular file this long, by cutting its end off or by adding zeros.
    /// - Parameter size: bytes.
    public func truncate(_ path: FilePath, to size: UInt64) async throws(ROWError) {
        try await setAttributes(path, NFS3.SetAttributes(size: size))
    }

    /// Moves an object (RENAME, RFC 1813 §3.3.14), in place of what has the new name: a file for a
    /// file, an empty directory for a directory. A directory of the image moves without its contents
    /// being copied or even read.
    public func rename(_ path: FilePath, to newPath: FilePath) async throws(ROWError) {
        try await changeName(path, existing: .inval) { state, directory, name throws(Interrupt) in
            guard let new = newPath.split else { throw .status(.exist) }
            _ = try state.rename(
                from: directory, name, to: try find(new.directory, state), new.name,
                options.credential)
        }
    }

    /// Takes the name of an object away that is not a directory (REMOVE, RFC 1813 §3.3.12).
    public func remove(_ path: FilePath) async throws(ROWError) {
        try await changeName(path, existing: .isdir) { state, directory, name throws(Interrupt) in
            _ = try state.remove(directory, name, options.credential)
        }
    }

    /// Removes an empty directory (RMDIR, RFC 1813 §3.3.13).
    public func removeDirectory(_ path: FilePath) async throws(ROWError) {
        try await changeName(path, existing: .inval) { state, directory, name throws(Interrupt) in
            _ = try state.removeDirectory(directory, name, options.credential)
        }
    }

    /// - Parameter existing: the status for the root, which has no name.
    private func changeName(
        _ path: FilePath, existing: NFS3.Status,
        _ body: (SessionState, NodeID, [UInt8]) throws(Interrupt) -> Void
    ) async throws(ROWError) {
        guard let (directory, name) = path.split else { throw ROWError(existing, path: path) }
        try await change(path) { state throws(Interrupt) in
            try body(state, try find(directory, state), name)
        }
    }

    /// The object that names lead to.
    nonisolated func find(
        _ names: some Sequence<[UInt8]>, _ state: SessionState
    ) throws(Interrupt) -> NodeID {
        var id = NodeID.root
        for name in names {
            id = try name.withBytes { bytes throws(Interrupt) in
                try state.lookup(id, bytes, options.credential).id
            }
        }
        return id
    }
}
