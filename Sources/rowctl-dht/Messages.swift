/// A line of standard input: one of `get`, `put` and `stats`.
struct Request: Decodable {
    /// Chosen by whoever asks; every answer has it.
    let id: UInt64
    /// 40 hexadecimal digits: read the values of this key.
    var get: String?
    /// 40 hexadecimal digits: add `value` under this key.
    var put: String?
    /// Base64.
    var value: String?
    /// Tell about the node.
    var stats: Bool?
    /// Bytes of values to deliver at most, for `get`.
    var limit: Int?
    /// The most bytes in a value that is of interest, for `get`.
    var size: Int?
    /// Seconds until the answer is given as it stands.
    var deadline: Double?
}

/// A line of standard output.
struct Answer: Encodable {
    /// Absent for the line that says that the node is ready.
    var id: UInt64?
    /// One value, base64. More lines with this id follow.
    var value: String?
    /// The last line with this id: whether all nodes that were to be asked have answered in time.
    var ok: Bool?
    /// Values beyond the limit, or that could not be passed on fast enough.
    var dropped: Int?
    /// Values larger than `size`.
    var oversized: Int?
    /// Nodes that have answered a short while ago.
    var nodes: Int?
    /// UDP port of the node.
    var port: Int?
    /// Why it could not be done.
    var error: String?
}
