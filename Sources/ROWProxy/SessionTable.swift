import ROWCore

/// The sessions that one image's loop serves, by name and by handle tag.
final class SessionTable {
    private var byName: [String: SessionState] = [:]
    private var byTag: [UInt32: SessionState] = [:]

    func add(_ session: SessionState) {
        byName[session.name] = session
        byTag[session.handles.tag] = session
    }

    var all: [SessionState] { Array(byName.values) }

    var names: [String] { byName.keys.sorted() }

    /// Makes what every session has written durable. A failure changes the session's write verifier, so
    /// its clients find out by themselves.
    func flushAll(then: @escaping () -> Void) {
        var remaining = byName.count
        if remaining == 0 { then() }
        for session in byName.values {
            session.flush { _ in
                remaining -= 1
                if remaining == 0 { then() }
            }
        }
    }

    subscript(name: [UInt8]) -> SessionState? { byName[String(decoding: name, as: UTF8.self)] }

    subscript(name: String) -> SessionState? { byName[name] }

    subscript(tag tag: UInt32) -> SessionState? { byTag[tag] }
}
