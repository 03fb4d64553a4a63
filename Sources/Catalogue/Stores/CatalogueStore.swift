/// A back end: a table of values that everybody may read and add to, and nobody can be trusted with.
protocol CatalogueStore: Sendable {
    /// Reads what is under a key and keeps what is valid.
    ///
    /// Never throws: what stands in the way makes the reading incomplete, and what came before still counts.
    /// - Parameter now: Unix seconds, by which values are judged.
    /// - Parameter limit: how long it may take.
    func get(_ key: CatalogueKey, now: Int64, within limit: Duration) async -> Reading

    /// Adds a record. The same bytes again are the same value, which is kept for longer.
    /// - Throws: ``CatalogueError/Code/notWritten``.
    func put(_ record: SignedRecord, within limit: Duration) async throws(CatalogueError)

    /// How often values must be put again, or the store loses them; nil where it keeps them.
    var refreshInterval: Duration? { get }

    /// For how long records are valid that their publisher gives no other life, in seconds.
    var lifeDefault: Int64 { get }

    /// Ends what it runs.
    func close() async
}

/// What a store answered.
struct Reading: Sendable {
    var selection: Selection
    /// Why this may not be all that there is; nil for a complete answer. None found, and complete, is empty.
    var incompleteness: String?
    /// How many nodes of a distributed store answer; nil where there are none.
    var nodes: Int?
}

extension Reading {
    /// The records that count.
    var records: [SignedRecord] { Array(selection.records.values) }
}
