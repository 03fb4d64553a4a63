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
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            guard try !queue.read({ db in try migrator.hasBeenSuperseded(db) }) else {
                throw CatalogueError(
                    .state, "\(path) was written by a newer version of this program; upgrade it")
            }
            do { try migrator.migrate(queue) } catch {
                // Another process may have done the same at the same time.
                guard try queue.read({ db in try migrator.hasCompletedMigrations(db) }) else {
                    throw error
                }
            }
            return queue
        } catch let error as CatalogueError {
            throw error
        } catch {
            throw CatalogueError(
                .state, "cannot open \(path): \(error); move it aside to start afresh")
        }
    }
}

extension [UInt8] {
    var databaseBlob: Data { Data(self) }

    static func fromBlob(_ data: Data?) -> [UInt8]? { data.map { [UInt8]($0) } }
}
