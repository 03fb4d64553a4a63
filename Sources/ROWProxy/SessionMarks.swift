import ROWCore

extension StateDirectory {
    /// Gives this moment of a session's history a name.
    /// - Throws: `StateError` when the session is not served; ``ConfigurationError`` when the text is none.
    public func mark(_ session: String, _ text: String) throws {
        if let refusal = HistoryMark.refusal(of: text) {
            throw ConfigurationError(message: refusal)
        }
        let stored = try StoredSession.read(existingSession(session))
        let answer = try ControlSocket.ask(
            .mark(session: session, text: text), imageDirectory: image(stored.image))
        switch answer {
        case .done: return
        case .refused(let message): throw StateError(.io, message)
        case .notServed, nil:
            throw StateError(
                .notFound,
                "the session \(session) is not served now, so there is nothing to mark; serve or "
                    + "mount it first")
        case .status, .joined, .report, .machines:
            throw StateError(.io, "an answer to another question")
        }
    }
}
