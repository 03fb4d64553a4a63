import NFSProtocol

/// One thing in which a tree is not as its manifest says.
public struct TreeDifference: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Below the root, without slashes around it; empty for the root. Bytes that are no UTF-8 are replaced.
    public let path: String
    /// What is different.
    public let what: String

    public var description: String { "/\(path): \(what)" }
}

/// Compares two manifests, name by name. It keeps the place where it is, and the hard links.
struct ManifestComparison {
    let sealed: ManifestReader
    let found: ManifestReader
    let report: (TreeDifference) -> Void
    /// Which objects with several names are the same in both, both ways.
    private var foundLinks: [UInt64: UInt64] = [:]
    private var sealedLinks: [UInt64: UInt64] = [:]

    private static let pageCount = 256

    init(
        sealed: ManifestReader, found: ManifestReader, report: @escaping (TreeDifference) -> Void
    ) {
        self.sealed = sealed
        self.found = found
        self.report = report
    }

    mutating func run() throws(StateError) {
        let roots = (try sealed.root(), try found.root())
        // Directories that are still to be compared.
        var waiting: [(path: [UInt8], ManifestEntry, ManifestEntry)] = []
        try compare([], roots.0, roots.1)
        waiting.append(([], roots.0, roots.1))
        while let (path, before, now) = waiting.popLast() {
            var names = Merge(
                sealed: Entries(sealed, before.node), found: Entries(found, now.node))
            while let (name, before, now) = try names.next() {
                let path = path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
                switch (before, now) {
                case (let before?, nil): tell(path, "is missing" + Self.rest(before))
                case (nil, let now?): tell(path, "is not in the manifest" + Self.rest(now))
                case (let before?, let now?):
                    try compare(path, before, now)
                    if before.attributes.type == .directory, now.attributes.type == .directory {
                        waiting.append((path, before, now))
                    }
                case (nil, nil): break
                }
            }
        }
    }

    private static func rest(_ entry: ManifestEntry) -> String {
        entry.attributes.type == .directory ? ", a directory with all below it" : ""
    }

    private func tell(_ path: [UInt8], _ what: String) {
        report(TreeDifference(path: String(decoding: path, as: UTF8.self), what: what))
    }

    private mutating func compare(
        _ path: [UInt8], _ before: ManifestEntry, _ now: ManifestEntry
    ) throws(StateError) {
        let (old, new) = (before.attributes, now.attributes)
        guard old.type == new.type else {
            return tell(path, "was a \(Self.word(old.type)), is a \(Self.word(new.type))")
        }
        func number(_ what: String, _ old: some Equatable, _ new: some Equatable) {
            let (old, new) = ("\(old)", "\(new)")
            if old != new { tell(path, "\(what) was \(old), is \(new)") }
        }
        number("mode", String(old.mode, radix: 8), String(new.mode, radix: 8))
        number("owner", "\(old.uid):\(old.gid)", "\(new.uid):\(new.gid)")
        number("size", old.size, new.size)
        number("time of modification", Self.text(old.mtime), Self.text(new.mtime))
        number(
            "device", "\(old.rdev.major):\(old.rdev.minor)", "\(new.rdev.major):\(new.rdev.minor)"
        )
        number("number of links", old.nlink, new.nlink)
        if old.type == .symbolicLink {
            let targets = (try sealed.target(of: before.node), try found.target(of: now.node))
            if targets.0 != targets.1 { tell(path, "points elsewhere") }
        }
        guard old.type != .directory, isFirstLook(path, before, now) else { return }
        if old.type == .regular, old.size == new.size { try compareData(path, before, now) }
    }

    /// - Returns: false for a name of objects that have been compared by another.
    private mutating func isFirstLook(
        _ path: [UInt8], _ before: ManifestEntry, _ now: ManifestEntry
    ) -> Bool {
        guard before.attributes.nlink > 1 || now.attributes.nlink > 1 else { return true }
        let known = (foundLinks[before.node], sealedLinks[now.node])
        if known == (now.node, before.node) { return false }
        if known == (nil, nil) {
            foundLinks[before.node] = now.node
            sealedLinks[now.node] = before.node
        } else {
            tell(path, "is linked to other names")
        }
        return true
    }

    private func compareData(
        _ path: [UInt8], _ before: ManifestEntry, _ now: ManifestEntry
    ) throws(StateError) {
        var count = 0
        var first: Int?
        for page in 0..<ManifestSchema.pageCount(size: before.attributes.size) {
            guard let old = try sealed.hashes(of: before.node, page: page),
                let new = try found.hashes(of: now.node, page: page), old != new
            else { continue }
            for start in stride(from: 0, to: old.count, by: ContentHash.byteCount)
            where old[start..<start + ContentHash.byteCount]
                != new[start..<start + ContentHash.byteCount]
            {
                first =
                    first ?? Int(page * ManifestSchema.pageBlocks) + start / ContentHash.byteCount
                count += 1
            }
        }
        if let first {
            let place = UInt64(first) * CacheLayout.blockBytes
            tell(
                path,
                "other data in \(count) \(count == 1 ? "block" : "blocks") of 64 KiB, from byte \(place) on"
            )
        }
    }

    private static func text(_ time: NFS3.Time) -> String {
        let digits = "\(time.nanoseconds)"
        return "\(time.seconds).\(String(repeating: "0", count: 9 - digits.count))\(digits)"
    }

    private static func word(_ type: NFS3.FileType) -> String {
        switch type {
        case .regular: "file"
        case .directory: "directory"
        case .blockDevice: "block device"
        case .characterDevice: "character device"
        case .symbolicLink: "symbolic link"
        case .socket: "socket"
        case .fifo: "fifo"
        }
    }

    /// The entries of a directory, page by page.
    private struct Entries {
        private let reader: ManifestReader
        private let directory: UInt64
        private var page: [(name: [UInt8], entry: ManifestEntry)] = []
        private var index = 0
        private var last: [UInt8] = []
        private var isAtEnd = false

        init(_ reader: ManifestReader, _ directory: UInt64) {
            self.reader = reader
            self.directory = directory
        }

        /// The entry that ``advance()`` goes past.
        mutating func current() throws(StateError) -> (name: [UInt8], entry: ManifestEntry)? {
            if index == page.count, !isAtEnd {
                let next = try reader.page(of: directory, after: last, count: pageCount)
                (page, index, isAtEnd) = (next.entries, 0, next.isLast)
                last = page.last?.name ?? last
            }
            return index < page.count ? page[index] : nil
        }

        mutating func advance() { index += 1 }
    }

    /// The entries of two directories, in the order of their names.
    private struct Merge {
        var sealed: Entries
        var found: Entries

        mutating func next() throws(StateError) -> (
            name: [UInt8], sealed: ManifestEntry?, found: ManifestEntry?
        )? {
            let (left, right) = (try sealed.current(), try found.current())
            guard let name = Self.first(left?.name, right?.name) else { return nil }
            let isLeft = left?.name == name
            let isRight = right?.name == name
            if isLeft { sealed.advance() }
            if isRight { found.advance() }
            return (name, isLeft ? left?.entry : nil, isRight ? right?.entry : nil)
        }

        private static func first(_ left: [UInt8]?, _ right: [UInt8]?) -> [UInt8]? {
            guard let left, let right else { return left ?? right }
            return right.lexicographicallyPrecedes(left) ? right : left
        }
    }
}
