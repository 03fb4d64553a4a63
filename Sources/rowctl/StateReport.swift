import Foundation
import Glibc
import ROWCore
import ROWProxy
import SystemPackage

/// The sessions and images of a state directory, without what is in them.
struct StateReport {
    struct Session: Encodable {
        let name: String
        /// Nil for one that cannot be read.
        var status: SessionStatus?
        var error: String?
        /// How many events its status had; they may name files.
        var events = 0
        let stored: Storage
    }

    struct Image: Encodable {
        let name: String
        let stored: Storage
    }

    /// What a directory takes up.
    struct Storage: Encodable {
        var files = 0
        /// Bytes of files, and of the disk.
        var size = 0
        var allocated = 0
        /// The bytes of each database.
        var databases: [String: Int] = [:]
    }

    let sessions: [Session]
    let images: [Image]

    init(_ state: StateDirectory) {
        sessions = state.sessionNames().map { name in
            var session = Session(name: name, stored: Self.storage(state.session(name)))
            do {
                let status = try SessionStatus.read(name, in: state)
                session.events = status.events.count
                session.status = Self.withoutNames(status)
            } catch {
                session.error = "it cannot be read"
            }
            return session
        }
        images = state.layout.imageDirectories().map {
            Image(name: $0.lastComponent?.string ?? "", stored: Self.storage($0))
        }
    }

    /// What a server said may name files of the image, and so may events.
    private static func withoutNames(_ status: SessionStatus) -> SessionStatus {
        var status = status
        status.largest = nil
        status.events = []
        for index in status.main.indices { status.main[index].lastError = nil }
        status.shadow?.lastError = nil
        return status
    }

    private static func storage(_ directory: FilePath) -> Storage {
        var storage = Storage()
        let names = FileManager.default.enumerator(atPath: directory.string)
        while let name = names?.nextObject() as? String {
            var status = stat()
            guard lstat(directory.appending(name).string, &status) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { continue }
            storage.files += 1
            storage.size += Int(status.st_size)
            storage.allocated += Int(status.st_blocks) * 512
            if ["session.sqlite", "image.sqlite"].contains(where: name.hasPrefix) {
                storage.databases[name] = Int(status.st_size)
            }
        }
        return storage
    }
}
