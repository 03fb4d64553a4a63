import Foundation
import ROWCore

/// Which blocks of the image the clients of a session have asked for.
///
/// One word has 64 blocks of 4 KiB: a small file takes up one, and what has been asked for before costs a
/// look in a table.
struct TouchedBlocks: Sendable, Equatable {
    static let blockBytes: UInt64 = 4096
    /// About 12 MiB of memory: as many small files, or 64 GiB of large ones.
    static let wordsMaximum = 1 << 18

    private struct Place: Hashable, Comparable {
        let id: UInt64
        /// The first of its blocks, by 64.
        let index: UInt64

        static func < (one: Place, other: Place) -> Bool {
            (one.id, one.index) < (other.id, other.index)
        }
    }

    private var words: [Place: UInt64] = [:]
    /// The word that was looked at last. Reads in order ask for it again, and do without the table.
    private var lastPlace = Place(id: 0, index: 0)
    private var lastWord: UInt64 = 0
    /// Distinct bytes that were asked for, in whole blocks where the file does not end before.
    private(set) var bytes = 0
    /// Whether more was asked for than is on record: then ``bytes`` is the least that it was.
    private(set) var isFull = false

    /// Notes that a range of a file was asked for.
    /// - Parameter size: tells the file's bytes in the image; asked for blocks that are new alone.
    mutating func insert(_ range: Range<UInt64>, of id: NodeID, size: () -> UInt64?) {
        guard !range.isEmpty else { return }
        let end = (range.upperBound - 1) / Self.blockBytes + 1
        var block = range.lowerBound / Self.blockBytes
        var isLastNew = false
        while block < end {
            let place = Place(id: id.rawValue, index: block >> 6)
            let next = min((place.index + 1) << 6, end)
            let mask = (UInt64.max >> (64 - (next - block))) << (block & 63)
            block = next
            if place != lastPlace {
                lastWord = words[place] ?? 0
                lastPlace = place
            }
            let known = lastWord
            let new = mask & ~known
            guard new != 0 else { continue }
            if known == 0, words.count >= Self.wordsMaximum {
                isFull = true
                continue
            }
            words[place] = known | new
            lastWord = known | new
            bytes += new.nonzeroBitCount * Int(Self.blockBytes)
            isLastNew = next == end && new >> ((end - 1) & 63) & 1 == 1
        }
        // The last block may end with the file.
        if isLastNew, !range.upperBound.isMultiple(of: Self.blockBytes), let size = size() {
            // The end of that block may be no number: a server can claim a file of any size.
            let used = max(size, range.upperBound) - (end - 1) * Self.blockBytes
            bytes -= Int(Self.blockBytes - min(used, Self.blockBytes))
        }
    }

    static func == (one: TouchedBlocks, other: TouchedBlocks) -> Bool {
        one.words == other.words && one.bytes == other.bytes && one.isFull == other.isFull
    }

    // MARK: As a file

    static let fileName = "touched"
    private static let format = "rowfs-touched 1"

    var file: Data {
        var file = CheckedBytes()
        file.append(bytes)
        file.append(isFull ? 1 : 0)
        file.append(words.count)
        var id: UInt64 = 0
        for (place, word) in words.sorted(by: { $0.key < $1.key }) {
            // As what they add to the one before: small numbers.
            file.append(place.id - id)
            file.append(place.index)
            file.append(word)
            id = place.id
        }
        return file.file(Self.format)
    }

    init() {}

    init(file: Data) throws(CheckedBytes.Damaged) {
        var reader = try CheckedBytes.Reader(file, Self.format)
        bytes = try reader.number()
        isFull = try reader.number() != 0
        var id: UInt64 = 0
        for _ in 0..<(try reader.count(maximum: Self.wordsMaximum)) {
            id &+= try reader.word()
            words[Place(id: id, index: try reader.word())] = try reader.word()
        }
        guard reader.isAtEnd else { throw CheckedBytes.Damaged() }
    }
}
