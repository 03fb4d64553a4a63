import Foundation

/// The files of a tree with their contents, by path: what a plain copy would hold.
struct Files {
    private(set) var byPath: [String: [UInt8]] = [:]

    /// What the image is made of.
    static var golden: Files {
        var files = Files()
        files["docs/welcome.txt"] = Array("Welcome to the golden image.\n".utf8)
        files["docs/guide/first-steps.txt"] = Array("Change what you like.\n".utf8)
        files["notes.txt"] = Array("a line of the image\n".utf8)
        files["old.log"] = [UInt8](repeating: UInt8(ascii: "."), count: 10_000)
        files["disk.img"] = largeFile
        return files
    }

    subscript(path: String) -> [UInt8]? {
        get { byPath[path] }
        // In place: a copy of the large file for each change would be felt.
        _modify { yield &byPath[path] }
    }

    /// Of a file, or of a directory with all below it.
    mutating func rename(_ old: String, to new: String) {
        for path in byPath.keys where path == old || path.hasPrefix(old + "/") {
            byPath[new + path.dropFirst(old.count)] = byPath.removeValue(forKey: path)
        }
    }

    /// Makes the files in a directory of this machine.
    /// - Returns: the directory.
    func write(to directory: String) throws -> String {
        for (path, content) in byPath {
            let url = URL(fileURLWithPath: directory).appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(content).write(to: url)
        }
        return directory
    }

    /// 64 MiB in which no two words are equal, so that a block in a wrong place shows.
    private static var largeFile: [UInt8] {
        let count = 64 << 20
        return [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            let raw = UnsafeMutableRawBufferPointer(memory)
            for offset in stride(from: 0, to: count, by: 8) {
                let word = UInt64(offset) &* 0x9e37_79b9_7f4a_7c15
                raw.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
            }
            initialized = count
        }
    }
}
