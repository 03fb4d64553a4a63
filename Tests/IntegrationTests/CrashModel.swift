import Foundation

/// The tree of a worker of `Tests/Programs/crash-writer.c`, as its log tells it: what was acknowledged.
struct CrashModel {
    enum Entry: Equatable {
        /// A key of ``files``: names of one file have the same.
        case file(Int)
        /// The mode is nil where the log leaves it open.
        case directory(mode: UInt32?)
        case symlink(target: String)
    }

    struct File {
        var bytes: [UInt8]
        var mode: UInt32?
        /// What was begun and not acknowledged: of these bytes each may be the old one or the new one,
        /// and the size too, or one between.
        var doubt: Doubt?
    }

    struct Doubt {
        let offset: Int
        let bytes: [UInt8]
    }

    /// An operation that does not fit what came before it.
    struct Nonsense: Error {
        let words: [Substring]
    }

    /// By path below the worker's parent.
    private(set) var names: [String: Entry] = [:]
    private(set) var files: [Int: File] = [:]
    private var fileCount = 0

    static let mainFiles = 8

    /// The directory that the image has for a worker, before anything happens.
    init(worker: Int) {
        names["worker\(worker)"] = .directory(mode: nil)
        for index in 0..<Self.mainFiles {
            add("worker\(worker)/main\(index)", Self.mainFile(index), mode: 0o644)
        }
    }

    static func mainFile(_ index: Int) -> [UInt8] {
        pattern(seed: UInt32(index), count: (index + 1) * 5000)
    }

    private static func pattern(seed: UInt32, count: Int) -> [UInt8] {
        (0..<UInt32(count)).map { index in
            UInt8(((seed &+ index) &* 2_654_435_761 &+ index / 256 &* 40503) >> 24)
        }
    }

    /// - Parameter words: of the log: the operation and what it is about.
    /// - Parameter isAcknowledged: otherwise the operation may have happened or not: this is the tree
    ///   if it has.
    mutating func apply(_ words: [Substring], isAcknowledged: Bool = true) throws {
        let nonsense = Nonsense(words: words)
        let path = String(words[1])
        func mode() -> UInt32? { isAcknowledged ? UInt32(words[2], radix: 8) : nil }
        switch words[0] {
        case "create":
            guard names[path] == nil else { throw nonsense }
            add(path, [], mode: mode())
        case "mkdir":
            guard names[path] == nil else { throw nonsense }
            names[path] = .directory(mode: mode())
        case "symlink":
            guard names[path] == nil else { throw nonsense }
            names[path] = .symlink(target: String(words[2]))
        case "link":
            guard let entry = names[path], names[String(words[2])] == nil else { throw nonsense }
            names[String(words[2])] = entry
        case "unlink", "rmdir":
            guard names.removeValue(forKey: path) != nil else { throw nonsense }
        case "rename":
            let target = String(words[2])
            guard let entry = names.removeValue(forKey: path) else { throw nonsense }
            names[target] = entry
            for (inner, entry) in names where inner.hasPrefix(path + "/") {
                names[inner] = nil
                names[target + inner.dropFirst(path.count)] = entry
            }
        default:
            guard case .file(let id)? = names[path], var file = files[id] else { throw nonsense }
            switch words[0] {
            case "chmod": file.mode = mode()
            case "truncate":
                guard let size = Int(words[2]) else { throw nonsense }
                file.bytes = Array(file.bytes.prefix(size))
                file.bytes += [UInt8](repeating: 0, count: size - file.bytes.count)
            case "write":
                guard let offset = Int(words[2]), let count = Int(words[3]),
                    let seed = UInt32(words[4])
                else { throw nonsense }
                let bytes = Self.pattern(seed: seed, count: count)
                if isAcknowledged {
                    file.write(bytes, at: offset)
                } else {
                    file.doubt = Doubt(offset: offset, bytes: bytes)
                }
            default: throw nonsense
            }
            files[id] = file
        }
    }

    private mutating func add(_ path: String, _ bytes: [UInt8], mode: UInt32?) {
        fileCount += 1
        files[fileCount] = File(bytes: bytes, mode: mode)
        names[path] = .file(fileCount)
    }
}

extension CrashModel.File {
    mutating func write(_ data: [UInt8], at offset: Int) {
        let end = offset + data.count
        if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
        bytes.replaceSubrange(offset..<end, with: data)
    }

    /// Why these cannot be the file's bytes; nil when they are.
    func objection(to found: [UInt8]) -> String? {
        guard let doubt else {
            if found.count != bytes.count {
                return "\(found.count) bytes, should be \(bytes.count)"
            }
            let place = zip(found, bytes).enumerated().first { $0.element.0 != $0.element.1 }
            return place.map { "another byte at \($0.offset)" }
        }
        var after = self
        after.write(doubt.bytes, at: doubt.offset)
        guard (bytes.count...after.bytes.count).contains(found.count) else {
            return "\(found.count) bytes, should be \(bytes.count) to \(after.bytes.count)"
        }
        for (index, byte) in found.enumerated() {
            let before = index < bytes.count ? bytes[index] : 0
            guard byte != before && byte != after.bytes[index] else { continue }
            return "at \(index) neither the old byte nor the new one"
        }
        return nil
    }
}

/// The log of all workers.
struct CrashLog {
    struct Worker {
        /// What was acknowledged, and that with what was begun and not acknowledged in the end.
        var states: [CrashModel]
        var acknowledged = 0
        var pending: [Substring]?
    }

    private(set) var workers: [Int: Worker] = [:]

    init(_ text: String) throws {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 2, let number = Int(words[0]), Int(words[1]) != nil
            else { continue }
            var worker =
                workers[number] ?? Worker(states: [CrashModel(worker: number)])
            if words[2] == "?" {
                worker.pending = Array(words.dropFirst(3))
            } else if words[2] == "=", let pending = worker.pending {
                try worker.states[0].apply(pending)
                worker.pending = nil
                worker.acknowledged += 1
            } else {
                throw CrashModel.Nonsense(words: words)
            }
            workers[number] = worker
        }
        for (number, worker) in workers {
            guard let pending = worker.pending else { continue }
            var after = worker.states[0]
            try after.apply(pending, isAcknowledged: false)
            workers[number]?.states.append(after)
        }
    }

    var acknowledged: Int { workers.values.reduce(0) { $0 + $1.acknowledged } }
    var pending: Int { workers.values.count { $0.pending != nil } }
}
