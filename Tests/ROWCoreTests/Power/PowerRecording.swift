import NFSProtocol

@testable import ROWCore

/// What a workload did to storage, and what its clients were promised when. Positions are places in
/// the log of events.
struct PowerRecording: Sendable {
    let main: PlainTree
    let note: String
    var events: [StorageEvent] = []
    /// What one transaction after the other leaves, the first one being nothing at all.
    var states: [State]
    /// Everything up to this state was acknowledged.
    var acknowledged: [(position: Int, state: Int)] = []
    /// Writes, before they were carried out.
    var writes: [Write] = []
    /// Objects of the model, as clients know them.
    var exposed: [Int: Exposure] = [:]
    /// When the session had been opened: its root's handle is known.
    var opened: [(position: Int, identity: Identity)] = []
    /// What of main is on record.
    var imported: [(position: Int, rows: [Int])] = []
    /// Operations done, and those that were refused among them.
    var operationCount = 0
    var refusedCount = 0

    /// The session as a restart must find it.
    struct State: Sendable {
        /// Which batch, of which start.
        let key: [UInt64]
        var tree: PlainTree
        /// Writes that the state does not record, although they came before: by object.
        var unrecorded: [Int: [Model.UnstableWrite]]
        /// How many of all writes came before.
        var writeCount: Int
        /// The last of the stored replies; they are numbered in order.
        var lastReply: Int
        /// The counters, as the next to be given out.
        var nextID: UInt64
        var nextCookie: UInt64
    }

    struct Write: Sendable {
        let position: Int
        let object: Int
        let write: Model.UnstableWrite
    }

    struct Exposure: Sendable {
        let id: NodeID
        let handle: [UInt8]
        /// nil until clients were told.
        var position: Int?
    }

    struct Identity: Sendable, Equatable {
        let fsid: UInt64
        let rootHandle: [UInt8]
    }

    /// Places of all syncs.
    var syncs: [Int] { events.indices.filter { events[$0].isSync } }

    /// The last state that clients were told of before `cut`.
    func acknowledgedState(at cut: Int) -> Int {
        acknowledged.last { $0.position <= cut }?.state ?? 0
    }

    /// Whether clients were told of anything in these places.
    func hasPromise(in range: Range<Int>) -> Bool {
        acknowledged.contains { range.contains($0.position) }
            || imported.contains { range.contains($0.position) }
            || opened.contains { range.contains($0.position) }
    }

    /// Writes to an object before `cut` that a state says nothing about: any byte of them may be there.
    func fuzz(_ object: Int, _ state: State, before cut: Int) -> [Model.UnstableWrite] {
        let later = writes[state.writeCount...].prefix { $0.position <= cut }
            .filter { $0.object == object }.map(\.write)
        return (state.unrecorded[object] ?? []) + later
    }
}
