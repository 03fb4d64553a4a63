import CLinux
import Foundation
import Glibc
import ROWCore
import ROWProxy
import SystemPackage

/// A `rowctl serve` that goes on when its starter has ended, and the note in the session's directory by
/// which it is found again.
struct BackgroundServer: Codable {
    let processID: Int32
    /// When it began, in the kernel's ticks: another process may have its number some day.
    let startTime: UInt64
    let mountPoint: String

    private static let noteName = "mount.json"

    /// It serves.
    struct Started {
        let processID: Int32
        let place: MountPlace
    }

    /// Starts it and waits until it serves.
    /// - Parameter arguments: from `serve` on; all paths absolute.
    /// - Parameter directory: the session's, which gets its log.
    /// - Throws: `StateError` with what it said when it ended instead.
    static func start(_ arguments: [String], directory: FilePath) throws -> Started {
        try FileManager.default.createDirectory(
            atPath: directory.string, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        let log = directory.appending("serve.log")
        let errors = try FileDescriptor.open(
            log, .writeOnly, options: [.create, .append, .closeOnExec],
            permissions: [.ownerReadWrite])
        defer { try? errors.close() }
        let output = Pipe()
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        let code = clinux_spawn_background(
            program, words, output.fileHandleForWriting.fileDescriptor, errors.rawValue)
        guard code > 0 else {
            throw StateError(.io, "cannot start \(program): \(Errno(rawValue: -code))")
        }
        try? output.fileHandleForWriting.close()
        var text = Data()
        while true {
            let data = output.fileHandleForReading.availableData
            text += data
            let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first
            if text.contains(UInt8(ascii: "\n")), let line, line.hasPrefix("ready: "),
                let place = MountPlace(mountCommand: line.dropFirst("ready: ".count))
            {
                return Started(processID: code, place: place)
            }
            guard data.isEmpty else { continue }
            var status: Int32 = 0
            waitpid(code, &status, 0)
            let said = (try? String(contentsOfFile: log.string, encoding: .utf8)) ?? ""
            let reason = said.split(separator: "\n").last.map {
                $0.hasPrefix("rowctl: ") ? String($0.dropFirst("rowctl: ".count)) : String($0)
            }
            throw StateError(
                .io, reason ?? "the server ended at once without a word; see \(log)")
        }
    }

    init(_ started: Started, mountPoint: String) throws {
        processID = started.processID
        guard let time = Self.startTime(of: started.processID) else {
            throw StateError(.io, "the server that was started has ended again")
        }
        startTime = time
        self.mountPoint = mountPoint
    }

    // MARK: The note

    static func read(session directory: FilePath) -> BackgroundServer? {
        let path = directory.appending(noteName).string
        return (try? Data(contentsOf: URL(filePath: path))).flatMap {
            try? JSONDecoder().decode(BackgroundServer.self, from: $0)
        }
    }

    func write(session directory: FilePath) throws {
        let path = directory.appending(Self.noteName).string
        try JSONEncoder().encode(self).write(to: URL(filePath: path), options: .atomic)
    }

    static func removeNote(session directory: FilePath) {
        unlink(directory.appending(noteName).string)
    }

    // MARK: The process

    var isRunning: Bool { Self.startTime(of: processID) == startTime }

    /// Asks it to end and waits until it has.
    static func stop(_ processID: Int32) { _ = clinux_end_process(processID, SIGTERM) }

    /// Field 22 of /proc/PID/stat; nil when there is no such process, or only what is left of one.
    private static func startTime(of processID: Int32) -> UInt64? {
        guard
            let text = try? String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return UInt64(fields[19])
    }
}
