import Foundation

/// What a process takes of this machine's memory.
public enum ProcessMemory {
    /// Bytes of its memory that are in RAM (`VmRSS` of proc(5)).
    /// - Throws: `CocoaError` when there is no such process.
    public static func residentBytes(of id: Int32) throws -> Int { try bytes("VmRSS:", of: id) }

    /// The most that there were at once (`VmHWM`), since the beginning or ``resetPeak(of:)``.
    /// - Throws: `CocoaError` when there is no such process.
    public static func peakBytes(of id: Int32) throws -> Int { try bytes("VmHWM:", of: id) }

    public static func resetPeak(of id: Int32) throws {
        try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/\(id)/clear_refs"))
    }

    private static func bytes(_ name: String, of id: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        guard let kibibytes = line?.split(separator: " ").dropLast().last.flatMap({ Int($0) })
        else { throw CocoaError(.fileReadCorruptFile) }
        return kibibytes << 10
    }

    /// How many descriptors it has open.
    /// - Parameter directory: files below it are not counted.
    /// - Throws: `CocoaError` when there is no such process.
    public static func descriptors(
        of id: Int32, outside directory: String? = nil
    ) throws -> Int {
        let folder = "/proc/\(id)/fd"
        let files = FileManager.default
        let names = try files.contentsOfDirectory(atPath: folder)
        guard let directory else { return names.count }
        return names.count { name in
            // One that is closed meanwhile is none.
            let target = try? files.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
            return target.map { !$0.hasPrefix(directory + "/") } ?? false
        }
    }
}
