/// What rowctl-dht is asked: one of `get`, `put` and `stats`. Its own source says what the fields are.
struct DHTRequest: Encodable, Sendable {
    var id: UInt64 = 0
    var get: String?
    var put: String?
    var value: String?
    var stats: Bool?
    var limit: Int?
    var size: Int?
    /// Seconds.
    var deadline: Double
}

/// What it answers: lines with a value, and a last one with `ok`.
struct DHTAnswer: Decodable, Sendable {
    var id: UInt64?
    var value: String?
    var ok: Bool?
    var dropped: Int?
    var oversized: Int?
    var nodes: Int?
    var port: Int?
    var error: String?
}

/// Cuts what comes into lines; one that is too long is dropped.
struct LineSplitter {
    private static let sizeMaximum = 16_384
    private var unfinished: [UInt8] = []
    private var isDropping = false

    /// - Returns: the lines that are complete now, without their ends.
    mutating func append(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var complete: [[UInt8]] = []
        var rest = bytes
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            take(rest[..<end])
            if !isDropping { complete.append(unfinished) }
            unfinished = []
            isDropping = false
            rest = rest[(end + 1)...]
        }
        take(rest)
        return complete
    }

    private mutating func take(_ part: ArraySlice<UInt8>) {
        guard !isDropping else { return }
        if unfinished.count + part.count > Self.sizeMaximum {
            isDropping = true
            unfinished = []
        } else {
            unfinished += part
        }
    }
}
