/// A change of a name that is on disk when it is answered: each of ``count`` files is made, renamed and
/// removed, with sixteen clients of one call each.
enum NameChange: String, CaseIterable, Sendable {
    // In the order in which a round makes them.
    case create, rename, remove

    static let count = 800
    private static let clients = 16
    private static let file = "changed"

    var name: String { "durable \(rawValue.uppercased()) x\(Self.clients)" }

    var load: Load {
        let operation: Load.Operation =
            switch self {
            case .create: .create
            case .rename: .rename
            case .remove: .remove
            }
        // What was renamed is what is removed.
        let file = self == .remove ? "renamed.\(Self.file)" : Self.file
        return Load(
            operation: operation, inFlight: Self.clients, file: file, connections: Self.clients)
    }
}
