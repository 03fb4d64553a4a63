import CLinux
import Foundation
import GRDB
import Glibc

/// How the catalogue's SQLite files are opened: several processes use them at once.
enum SharedDatabase {
    static func open(
        path: String, migrator: DatabaseMigrator
    ) throws(CatalogueError) -> DatabaseQueue {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let code = clinux_mkdir_parents(folder, 0o700)
        guard code == 0 else {
            throw CatalogueError(
                .state, "cannot make the directory \(folder): \(String(cString: strerror(-code)))")
        }
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.prepareDatabase { db in
                try db.execute(sql: "PRAGMA journal_mode = WAL")
                // What was published, or seen, is not forgotten by a loss of power.
                try db.execute(sql: "PRAGMA synchronous = FULL")
            }
            var attempt = 0
            while true {
                attempt += 1
                do {
                    let queue = try DatabaseQueue(path: path, configuration: configuration)
                    try migrate(queue, path, by: migrator)
                    return queue
                } catch let error as DatabaseError
                    where attempt < attemptsMaximum && maybeOthers(error)
                {
                    usleep(pauseMicroseconds)
                }
            }
        } catch let error as CatalogueError {
            throw error
        } catch {
            throw CatalogueError(
                .state, "cannot open \(path): \(error); move it aside to start afresh")
        }
    }

    private static func migrate(
        _ queue: DatabaseQueue, _ path: String, by migrator: DatabaseMigrator
    ) throws {
        guard try !queue.read({ db in try migrator.hasBeenSuperseded(db) }) else {
            throw CatalogueError(
                .state, "\(path) was written by a newer version of this program; upgrade it")
        }
        try migrator.migrate(queue)
    }

    /// Several processes may make the file at once: one finds it locked then, or half made.
    private static func maybeOthers(_ error: DatabaseError) -> Bool {
        [.SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_ERROR].contains(error.resultCode)
    }

    private static let attemptsMaximum = 20
    private static let pauseMicroseconds: UInt32 = 25_000
}

extension [UInt8] {
    var databaseBlob: Data { Data(self) }

    static func fromBlob(_ data: Data?) -> [UInt8]? { data.map { [UInt8]($0) } }
}
