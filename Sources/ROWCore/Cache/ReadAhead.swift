/// Guesses which blocks will be read next: those behind reads that follow one another, in a window that
/// doubles as long as the guess is right.
public struct ReadAhead {
    private struct Stream {
        let id: NodeID
        /// The block after the last that was read.
        var next: UInt64
        /// The first block that has not been asked for.
        var ahead: UInt64
        var window: UInt64
    }

    /// The most recently used last.
    private var streams: [Stream] = []
    private static let streamsMaximum = 64
    private static let windowFirst: UInt64 = 4
    /// 8 MiB.
    public static let windowMaximum: UInt64 = 128
    /// Clients send the reads of one stream out of order, this far.
    private static let disorder: UInt64 = 32

    public init() {}

    /// A client has read.
    /// - Parameter blockCount: of the file.
    /// - Parameter windowMaximum: blocks; more are not fetched ahead of one reader.
    /// - Returns: blocks to fetch now; may be empty.
    public mutating func read(
        _ blocks: Range<UInt64>, of id: NodeID, blockCount: UInt64,
        windowMaximum: UInt64 = Self.windowMaximum
    ) -> Range<UInt64> {
        let nothing = blocks.upperBound..<blocks.upperBound
        let found = streams.lastIndex { stream in
            stream.id == id && blocks.lowerBound + Self.disorder >= stream.next
                && blocks.lowerBound <= max(stream.ahead, stream.next)
        }
        guard let found else {
            if streams.count == Self.streamsMaximum { streams.removeFirst() }
            // Whoever begins at the beginning most likely goes on.
            let window = blocks.lowerBound == 0 ? min(Self.windowFirst, windowMaximum) : 0
            let ahead = min(blocks.upperBound + window, blockCount)
            streams.append(
                Stream(
                    id: id, next: blocks.upperBound, ahead: ahead,
                    window: max(window, Self.windowFirst)))
            return blocks.upperBound..<max(ahead, blocks.upperBound)
        }
        var stream = streams.remove(at: found)
        defer { streams.append(stream) }
        // The same block once more, in smaller pieces.
        guard blocks.upperBound > stream.next else { return nothing }
        stream.next = blocks.upperBound
        stream.ahead = max(stream.ahead, stream.next)
        guard stream.ahead - stream.next <= stream.window / 2 else { return nothing }
        stream.window = min(stream.window * 2, windowMaximum)
        let start = stream.ahead
        stream.ahead = min(max(start, stream.next + stream.window), blockCount)
        return start..<max(stream.ahead, start)
    }
}
