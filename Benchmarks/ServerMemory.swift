import Foundation

/// What a process takes of the machine's memory, in MiB.
struct ServerMemory {
    /// All that is in RAM, with pages of files that others share.
    let resident: Double
    /// What is its own and of no file: the rest can be had again from disk.
    let anonymous: Double

    init(of id: Int32) throws {
        let values = try Self.kibibytes(in: "/proc/\(id)/smaps_rollup")
        resident = try Self.mebibytes("Rss", values)
        anonymous = try Self.mebibytes("Anonymous", values)
    }

    /// What it takes once it has come to rest: nothing more for a while.
    static func settled(of id: Int32) async throws -> ServerMemory {
        var memory = try ServerMemory(of: id)
        var looks = (same: 0, all: 0)
        while looks.same < 6, looks.all < 40 {
            try await Task.sleep(for: .milliseconds(500))
            let next = try ServerMemory(of: id)
            looks.same = abs(next.resident - memory.resident) < 0.1 ? looks.same + 1 : 0
            looks.all += 1
            memory = next
        }
        return memory
    }

    /// The most that was ever in RAM.
    static func peak(of id: Int32) throws -> Double {
        try mebibytes("VmHWM", kibibytes(in: "/proc/\(id)/status"))
    }

    private static func mebibytes(_ name: String, _ values: [String: Double]) throws -> Double {
        guard let value = values[name] else { throw CocoaError(.fileReadCorruptFile) }
        return value / 1024
    }

    /// The lines `NAME: NUMBER kB`.
    private static func kibibytes(in path: String) throws -> [String: Double] {
        var values: [String: Double] = [:]
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.count == 3, words[2] == "kB", let number = Double(words[1]) {
                values[String(words[0].dropLast())] = number
            }
        }
        return values
    }
}
