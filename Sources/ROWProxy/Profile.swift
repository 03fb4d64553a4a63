import Foundation
import ROWCore
import SystemPackage

/// What a client touched first of an image, in order: made by one session (``ProfileRecorder``), fetched
/// ahead of another.
///
/// A text file. After the first line, `rowfs-profile 1`, each line is `list PATH`, `link PATH`, or
/// `read FIRST COUNT PATH` with blocks of 64 KiB. Paths are those in the image, without a leading slash;
/// `%`, control characters and bytes that are not ASCII are written as `%XX`.
struct Profile {
    enum Access: Hashable {
        case list
        case link
        case read(Range<UInt64>)
    }

    static let firstLine = "rowfs-profile 1"

    let accesses: [(path: [UInt8], access: Access)]

    /// - Throws: ``ConfigurationError`` with the line that is wrong.
    init(file: String) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw ConfigurationError(message: "cannot read the profile \(file)")
        }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        guard lines.first == Self.firstLine[...] else {
            throw ConfigurationError(
                message: "\(file) is no profile: its first line is not '\(Self.firstLine)'; "
                    + "make one with --record")
        }
        var accesses: [(path: [UInt8], access: Access)] = []
        // The last line may be cut: its writer may have been killed.
        let isCut = data.last != UInt8(ascii: "\n")
        for (number, line) in lines.enumerated().dropFirst() {
            if let access = Self.parse(line) {
                accesses.append(access)
            } else if !(isCut && number == lines.count - 1) {
                throw ConfigurationError(
                    message: "\(file), line \(number + 1) is no access: \(line.prefix(80))")
            }
        }
        self.accesses = accesses
    }

    private static func parse(_ line: Substring) -> (path: [UInt8], access: Access)? {
        let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard words.count == 2 else { return nil }
        switch words[0] {
        case "list": return unescaped(words[1]).map { ($0, .list) }
        case "link": return unescaped(words[1]).map { ($0, .link) }
        case "read":
            let parts = words[1].split(
                separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let first = UInt64(parts[0]), let count = UInt64(parts[1]),
                count > 0, first < 1 << 48, count < 1 << 48, let path = unescaped(parts[2])
            else { return nil }
            return (path, .read(first..<first + count))
        default: return nil
        }
    }

    static func line(_ path: [UInt8], _ access: Access) -> String {
        let name = escaped(path)
        return switch access {
        case .list: "list \(name)\n"
        case .link: "link \(name)\n"
        case .read(let blocks): "read \(blocks.lowerBound) \(blocks.count) \(name)\n"
        }
    }

    private static func escaped(_ path: [UInt8]) -> String {
        var text = ""
        for byte in path {
            if (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return text
    }

    private static func unescaped(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2
            else { return nil }
            rest.removeFirst(2)
            bytes.append(code)
        }
        return bytes
    }
}

/// Writes a ``Profile`` of what the clients of a session touch, each thing once.
///
/// Loop-confined.
final class ProfileRecorder {
    private struct Touched: Hashable {
        let id: NodeID
        /// A block's number; others stand for the listing and the link.
        let what: UInt64
        static let listing = UInt64.max
        static let link = UInt64.max - 1
    }

    private let image: ImageStore
    private let file: FileDescriptor
    private var touched: Set<Touched> = []
    private var lines = ""
    /// Blocks of a file that were touched in order are one line.
    private var last: (id: NodeID, blocks: Range<UInt64>)?
    private let onEvent: (String) -> Void
    private var isFull = false

    /// About 64 MiB of memory.
    private static let touchedMaximum = 1 << 20
    private static let linesMaximum = 64 << 10

    /// - Parameter path: of the file, which is made anew.
    init(path: String, image: ImageStore, onEvent: @escaping (String) -> Void) throws {
        self.image = image
        self.onEvent = onEvent
        do {
            file = try OutputFile.open(
                FilePath(path), permissions: [.ownerReadWrite, .groupRead, .otherRead])
        } catch {
            throw ConfigurationError(message: "the profile: \(error)")
        }
        lines = Profile.firstLine + "\n"
    }

    deinit { try? file.close() }

    func listed(_ id: NodeID) {
        if isFirst(id, Touched.listing) { write(id, .list) }
    }

    func readLink(_ id: NodeID) {
        if isFirst(id, Touched.link) { write(id, .link) }
    }

    func read(_ id: NodeID, _ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        let size = CacheLayout.blockBytes
        for block in range.lowerBound / size...(range.upperBound - 1) / size
        where isFirst(id, block) {
            if let (file, blocks) = last, file == id, blocks.upperBound == block {
                last = (id, blocks.lowerBound..<block + 1)
            } else {
                writeLast()
                last = (id, block..<block + 1)
            }
        }
    }

    /// Writes what has been gathered.
    func flush() {
        writeLast()
        var text = lines
        lines = ""
        do {
            try text.withUTF8 { _ = try file.writeAll($0) }
        } catch {
            onEvent("recording has ended: the profile cannot be written: \(error)")
            isFull = true
        }
    }

    private func isFirst(_ id: NodeID, _ what: UInt64) -> Bool {
        guard !isFull, !id.isSessionMade, touched.insert(Touched(id: id, what: what)).inserted
        else { return false }
        if touched.count >= Self.touchedMaximum {
            onEvent("recording has ended: more was touched than a profile holds")
            isFull = true
        }
        return true
    }

    private func writeLast() {
        guard let (id, blocks) = last else { return }
        last = nil
        append(id, .read(blocks))
    }

    private func write(_ id: NodeID, _ access: Profile.Access) {
        writeLast()
        append(id, access)
        if lines.utf8.count > Self.linesMaximum { flush() }
    }

    private func append(_ id: NodeID, _ access: Profile.Access) {
        if let path = image.path(of: id) { lines += Profile.line(path, access) }
    }
}
