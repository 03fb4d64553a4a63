public import ROWCore
import SystemPackage

/// Snapshots of a session, wherever it is: in the process that serves it, or only on disk.
extension StateDirectory {
    /// Keeps the state of a session under a name. Clients that use it go on meanwhile.
    /// - Throws: `StateError`: `notFound`, `exists`, `invalidName`, `locked`, `io`.
    public func takeSnapshot(_ tag: String, of session: String) throws {
        try change(session, .takeSnapshot(tag: tag)) { directory throws(StateError) in
            try StoredSession.takeSnapshot(tag, of: directory)
        }
    }

    /// Takes a session back to a snapshot. What clients have in their caches is theirs to look after:
    /// they see that all files have changed.
    public func rollBack(_ session: String, to tag: String) throws {
        try change(session, .rollBack(tag: tag)) { directory throws(StateError) in
            try StoredSession.rollBack(directory, to: tag)
        }
    }

    /// Makes a new session of the state of another, or of a snapshot of it.
    public func clone(_ session: String, from tag: String?, to name: String) throws {
        try StateLayout.check(sessionName: name)
        let target = self.session(name)
        try change(session, .clone(name: name, tag: tag)) { directory throws(StateError) in
            try StoredSession.clone(directory, from: tag, to: target)
        }
    }

    /// Removes a snapshot; the session and its other snapshots stay as they are.
    public func removeSnapshot(_ tag: String, of session: String) throws {
        try StoredSession.removeSnapshot(tag, of: existingSession(session))
    }

    /// The snapshots of a session, oldest first.
    public func snapshots(of session: String) throws -> [StoredSnapshot] {
        try StoredSnapshot.all(of: existingSession(session))
    }

    /// Longer than a snapshot of very many files takes.
    private static let patience = 600

    private func change(
        _ session: String, _ change: SessionChange,
        offline: (FilePath) throws(StateError) -> Void
    ) throws {
        let directory = try existingSession(session)
        let stored = try StoredSession.read(directory)
        let answer = try ControlSocket.ask(
            .change(session: session, change), imageDirectory: image(stored.image),
            patience: Self.patience)
        switch answer {
        case .done: return
        case .refused(let message): throw StateError(.io, message)
        case .notServed, nil: try offline(directory)
        case .status, .joined, .report, .machines:
            throw StateError(.io, "an answer to another question")
        }
    }
}
