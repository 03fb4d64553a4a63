import Foundation

/// What a process takes of this machine's memory.
public enum ProcessMemory {
    /// Bytes of its memory that are in RAM (`VmRSS` of proc(5)).
    /// - Throws: `CocoaError` when there is no such process.
    public static func residentBytes(of id: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        guard let kibibytes = line?.split(separator: " ").dropLast().last.flatMap({ Int($0) })
        else { throw CocoaError(.fileReadCorruptFile) }
        return kibibytes << 10
    }

    /// How many descriptors it has open.
    /// - Throws: `CocoaError` when there is no such process.
    public static func descriptors(of id: Int32) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd").count
    }
}
