import ROWTestKit

/// What a process took over time, and what of it grew.
struct SoakSamples: CustomStringConvertible {
    private struct Sample {
        let residentBytes: Int
        /// But for those of files of the session and the cache.
        let descriptors: Int
        let allDescriptors: Int
    }

    /// Of each process that there was, in order.
    private var lives: [(id: Int32, samples: [Sample])] = []
    private(set) var cacheMaximum = 0

    private static let tolerated = (fraction: 0.05, bytes: 2 << 20, descriptors: 2)
    /// As many as clients have files that they changed, but no more of those stay open than 256, nor than
    /// 256 of the cache.
    private static let filesMaximum = 512

    /// Nothing when the process has just ended.
    /// - Parameter state: the state directory.
    mutating func add(of id: Int32, state: String, cacheBytes: Int) {
        cacheMaximum = max(cacheMaximum, cacheBytes)
        guard let memory = try? ProcessMemory.residentBytes(of: id),
            let all = try? ProcessMemory.descriptors(of: id),
            let descriptors = try? ProcessMemory.descriptors(of: id, outside: state)
        else { return }
        if lives.last?.id != id { lives.append((id, [])) }
        lives[lives.count - 1].samples.append(
            Sample(residentBytes: memory, descriptors: descriptors, allDescriptors: all))
    }

    /// Why the last process, which lived longest, does not stay as it is: its last quarter is compared with
    /// its second, when all that is kept in memory has been seen.
    var growth: [String] {
        let samples = lives.last?.samples ?? []
        guard samples.count >= 40 else { return ["\(samples.count) samples are too few"] }
        var growth: [String] = []
        let memory = Self.medians(samples.map(\.residentBytes))
        let limit = Double(memory.second) * (1 + Self.tolerated.fraction)
        if memory.last > Int(limit) + Self.tolerated.bytes {
            growth.append("memory from \(memory.second >> 10) to \(memory.last >> 10) KiB")
        }
        let descriptors = Self.medians(samples.map(\.descriptors))
        if descriptors.last > descriptors.second + Self.tolerated.descriptors {
            growth.append("descriptors from \(descriptors.second) to \(descriptors.last)")
        }
        let files = samples.map { $0.allDescriptors - $0.descriptors }.max() ?? 0
        if files > Self.filesMaximum { growth.append("\(files) open files at once") }
        return growth
    }

    private static func medians(_ values: [Int]) -> (second: Int, last: Int) {
        func median(_ quarter: Int) -> Int {
            let part = values[(values.count * quarter / 4)..<(values.count * (quarter + 1) / 4)]
            return part.sorted()[part.count / 2]
        }
        return (median(1), median(3))
    }

    var description: String {
        let last = lives.last?.samples ?? []
        let shown = stride(from: 0, to: last.count, by: max(1, last.count / 24)).map { last[$0] }
        let ends = lives.dropLast().compactMap { $0.samples.last.map { $0.residentBytes >> 10 } }
        return """
            \(lives.count) processes, the cache at most \(cacheMaximum >> 10) KiB
            memory of the earlier ones at their ends, KiB: \(ends)
            memory of the last one over time, KiB: \(shown.map { $0.residentBytes >> 10 })
            its descriptors: \(shown.map(\.descriptors)), with its files \(shown.map(\.allDescriptors))
            """
    }
}
