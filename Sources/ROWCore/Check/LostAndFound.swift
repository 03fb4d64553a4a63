import Foundation
import Glibc
import SystemPackage

/// Where a session puts what it cannot make sense of: `lost+found-N` in its directory, made when the
/// first thing comes. Nothing in it is ever removed by us.
final class LostAndFound {
    private let session: FilePath
    private(set) var directory: FilePath?

    init(session: FilePath) { self.session = session }

    /// Moves a file or directory of the session here.
    /// - Parameter path: below the session's directory.
    func move(_ path: FilePath) throws(StateError) {
        let target = try unusedPlace(for: path)
        let code = Storage.rename(session.pushing(path), to: target)
        guard code == 0 else { throw failure("move", path, Errno(rawValue: -code)) }
        try session.pushing(path).removingLastComponent().sync()
        try target.removingLastComponent().sync()
    }

    /// Copies a file of the session here, holes as holes.
    func copy(_ path: FilePath) throws(StateError) {
        let target = try unusedPlace(for: path)
        do {
            try Self.copy(session.pushing(path), to: target)
        } catch {
            throw failure("copy", path, error)
        }
        try target.removingLastComponent().sync()
    }

    /// Writes lines of text into a file here.
    func write(_ lines: [String], to name: String) throws(StateError) {
        guard !lines.isEmpty else { return }
        let target = try place(for: FilePath(name))
        do {
            let file = try SparseFile(path: target, create: true)
            let text = Array((lines.joined(separator: "\n") + "\n").utf8)
            let end = try file.size
            try text.withUnsafeBufferPointer { bytes throws(Errno) in
                try file.write(UnsafeRawBufferPointer(bytes), at: end)
            }
            try file.sync()
        } catch {
            throw StateError(.io, "cannot write \(target): \(error)")
        }
        try target.removingLastComponent().sync()
    }

    /// Copies a file, all that is zeros as a hole, and makes the copy durable.
    static func copy(_ source: FilePath, to target: FilePath) throws(Errno) {
        let options = O_CLOEXEC | O_NOFOLLOW
        let from = try SparseFile(path: source, flags: O_RDONLY | options)
        let to = try SparseFile(path: target, flags: O_RDWR | O_CREAT | options)
        try to.truncate(to: 0)
        let size = try from.size
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while offset < size {
            let count = Int(min(UInt64(buffer.count), size - offset))
            try buffer.withUnsafeMutableBufferPointer { bytes throws(Errno) in
                let part = UnsafeMutableRawBufferPointer(
                    UnsafeMutableBufferPointer(rebasing: bytes[..<count]))
                try from.read(into: part, at: offset)
                if part.contains(where: { $0 != 0 }) {
                    try to.write(UnsafeRawBufferPointer(part), at: offset)
                }
            }
            offset += UInt64(count)
        }
        try to.truncate(to: size)
        try to.sync()
    }

    private func failure(_ verb: String, _ path: FilePath, _ error: Errno) -> StateError {
        StateError(.io, "cannot \(verb) \(session.pushing(path)) aside: \(error)")
    }

    /// Where something goes; its directories are made.
    private func place(for path: FilePath) throws(StateError) -> FilePath {
        let target = try home().pushing(path)
        try target.removingLastComponent().makeDirectory()
        return target
    }

    private func unusedPlace(for path: FilePath) throws(StateError) -> FilePath {
        var target = try place(for: path)
        while try DatabaseState.size(target) != nil { target = FilePath(target.string + "+") }
        return target
    }

    private func home() throws(StateError) -> FilePath {
        if let directory { return directory }
        var number = 1
        while true {
            let path = session.appending("lost+found-\(number)")
            let code = Storage.makeDirectory(path)
            if code == 0 {
                try session.sync()
                directory = path
                return path
            }
            guard code == -EEXIST else {
                throw StateError(.io, "cannot make \(path): \(Errno(rawValue: -code))")
            }
            number += 1
        }
    }
}
