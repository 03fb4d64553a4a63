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
        let server: BackgroundServer
        let place: MountPlace
    }

    /// Starts it, notes it, and waits until it serves. A signal that ends this process meanwhile ends it
    /// too.
    /// - Parameter arguments: from `serve` on; all paths absolute.
    /// - Parameter directory: the session's, which gets the note and its log.
    /// - Throws: `StateError` with what it said when it ended instead.
    static func start(
        _ arguments: [String], session directory: FilePath, mountPoint: String
    ) throws -> Started {
        if let other = read(session: directory), other.isRunning {
            throw StateError(
                .locked,
                "the session is in use: it is mounted on \(other.mountPoint), served by process "
                    + "\(other.processID); unmount it there, or name another with --session")
        }
        try FileManager.default.createDirectory(
            atPath: directory.string, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        let log = Log(session: directory)
        let errors = try OutputFile.open(log.path, options: .append)
        defer { try? errors.close() }
        let output = Pipe()
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        // Its complaints are looked for in the lines of its log.
        let all = [program] + arguments + ["--log-format", "text"]
        var words: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        let processID = clinux_spawn_background(
            program, words, output.fileHandleForWriting.fileDescriptor, errors.rawValue)
        guard processID > 0 else {
            throw StateError(.io, "cannot start \(program): \(Errno(rawValue: -processID))")
        }
        let signals = Signals([SIGINT, SIGTERM, SIGHUP]) {
            _ = clinux_end_process(processID, SIGTERM)
            _exit(EXIT_FAILURE)
        }
        defer { withExtendedLifetime(signals) {} }
        try? output.fileHandleForWriting.close()
        if let time = startTime(of: processID) {
            let server = BackgroundServer(
                processID: processID, startTime: time, mountPoint: mountPoint)
            try server.write(session: directory)
            if let place = ready(output.fileHandleForReading) {
                return Started(server: server, place: place)
            }
        }
        removeNote(session: directory)
        waitpid(processID, nil, 0)
        throw StateError(
            .io, log.news ?? "the server ended at once without a word (its log is \(log.path))")
    }

    /// Waits for the line that says where it serves.
    /// - Returns: nil when it ends without one.
    private static func ready(_ output: FileHandle) -> MountPlace? {
        var text = Data()
        while true {
            let data = output.availableData
            if data.isEmpty { return nil }
            text += data
            guard text.contains(UInt8(ascii: "\n")) else { continue }
            let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first ?? ""
            guard line.hasPrefix("ready: ") else { return nil }
            return MountPlace(mountCommand: line.dropFirst("ready: ".count))
        }
    }

    /// What a server has said since this was made.
    struct Log {
        let path: FilePath
        private let size: Int

        init(session directory: FilePath) {
            path = directory.appending("serve.log")
            size = SmallFile.read(path)?.count ?? 0
        }

        /// What it ended with, if it failed; what is an event's is for who reads the log.
        var news: String? {
            let all = SmallFile.read(path) ?? Data()
            let new = String(decoding: all.dropFirst(size), as: UTF8.self)
            let line = new.split(separator: "\n").last { $0.hasPrefix("rowctl: ") }
            return line.map { String($0.dropFirst("rowctl: ".count)) }
        }
    }

    // MARK: The note

    static func read(session directory: FilePath) -> BackgroundServer? {
        SmallFile.read(directory.appending(noteName)).flatMap {
            try? JSONDecoder().decode(BackgroundServer.self, from: $0)
        }
    }

    private func write(session directory: FilePath) throws {
        try SmallFile.write(
            JSONEncoder().encode(self), to: directory.appending(Self.noteName))
    }

    private static func removeNote(session directory: FilePath) {
        unlink(directory.appending(noteName).string)
    }

    // MARK: The process

    var isRunning: Bool { Self.startTime(of: processID) == startTime }

    /// Asks it to end and waits until it has.
    /// - Throws: `StateError` with what it complains of at its end.
    func stop(session directory: FilePath) throws {
        let log = Log(session: directory)
        if isRunning { _ = clinux_end_process(processID, SIGTERM) }
        Self.removeNote(session: directory)
        if let complaint = log.news { throw StateError(.io, complaint) }
    }

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
