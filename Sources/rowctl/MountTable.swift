import Foundation
import ROWProxy

/// A line of /proc/self/mountinfo.
struct MountEntry {
    let mountPoint: String
    let type: String
    /// As given to mount: `HOST:/PATH` for NFS.
    let source: String
    let options: [Substring]

    /// The value of `NAME=VALUE` among the options.
    func option(_ name: String) -> Substring? {
        options.first { $0.hasPrefix("\(name)=") }?.dropFirst(name.count + 1)
    }

    /// The path at the server, for NFS.
    var exportPath: Substring? {
        guard let colon = source.range(of: ":/") else { return nil }
        return source[source.index(after: colon.lowerBound)...]
    }
}

/// What is mounted, read from the kernel's table: asking it never touches a mount, so it cannot hang on
/// one whose server is gone.
enum MountTable {
    static func entries() throws -> [MountEntry] {
        let text = try KernelFile.text("/proc/self/mountinfo")
        return text.split(separator: "\n").compactMap(parse)
    }

    /// The mount that lies on top at a path.
    static func entry(at path: String) throws -> MountEntry? {
        try entries().last { $0.mountPoint == path }
    }

    /// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD…] - TYPE SOURCE SUPEROPTIONS`
    static func parse(_ line: Substring) -> MountEntry? {
        let words = line.split(separator: " ")
        guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count >= dash + 4 else {
            return nil
        }
        return MountEntry(
            mountPoint: unescaped(words[4]), type: String(words[dash + 1]),
            source: unescaped(words[dash + 2]), options: words[dash + 3].split(separator: ","))
    }

    /// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
    private static func unescaped(_ word: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(word.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(code)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The absolute form of a path whose last part may be a mount that must not be touched: only what
    /// lies above it is looked at.
    static func absolute(_ path: String) throws -> String {
        var parts = path.split(separator: "/").filter { $0 != "." }
        guard let last = parts.popLast(), last != ".." else {
            guard let resolved = realpath(path, nil) else {
                throw UsageError(description: "there is no directory '\(path)'")
            }
            defer { free(resolved) }
            return String(cString: resolved)
        }
        let above = (path.hasPrefix("/") ? "/" : "./") + parts.joined(separator: "/")
        guard let resolved = realpath(above, nil) else {
            throw UsageError(description: "there is no directory '\(above)'")
        }
        defer { free(resolved) }
        let directory = String(cString: resolved)
        return directory == "/" ? "/\(last)" : "\(directory)/\(last)"
    }
}
