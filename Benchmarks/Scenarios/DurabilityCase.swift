/// Changes that are on disk when they are answered, made by one client and by sixteen: each has a
/// connection and one call in flight.
struct DurabilityCase: Sendable {
    enum Kind: Sendable {
        /// WRITE of 4 KiB with FILE_SYNC, all to one file or each client to its own.
        case write(hasOwnFiles: Bool)
        /// CREATE and REMOVE in turn.
        case create
    }

    let kind: Kind
    /// Of syncs for each call, with sixteen clients to one.
    var syncGoal: Goal?
    /// Of calls/s where a sync takes 5 ms longer, with sixteen clients to one.
    let speedGoal: Goal

    var name: String {
        let what =
            switch kind {
            case .write(false): "WRITE to one file"
            case .write(true): "WRITE to own files"
            case .create: "CREATE+REMOVE"
            }
        return "durable \(what)"
    }

    func load(clients: Int) -> Load {
        switch kind {
        case .create:
            Load(operation: .createRemove, inFlight: clients, file: Self.file, connections: clients)
        case .write(let hasOwnFiles):
            Load(
                operation: .write, inFlight: clients, file: Self.file, connections: clients,
                isStable: true, hasOwnFiles: hasOwnFiles)
        }
    }

    static let file = "data"
    static let clients = (one: 1, many: 16)

    static let all = [
        DurabilityCase(
            kind: .write(hasOwnFiles: false), syncGoal: .atMost(0.25), speedGoal: .atLeast(4)),
        // Each file wants a sync of its own: what they share is the transaction.
        DurabilityCase(kind: .write(hasOwnFiles: true), speedGoal: .atLeast(4)),
        DurabilityCase(kind: .create, syncGoal: .atMost(0.25), speedGoal: .atLeast(4)),
    ]
}
