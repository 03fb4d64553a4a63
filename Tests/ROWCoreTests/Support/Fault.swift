import Foundation
import GRDB

@testable import ROWCore

/// Makes the commits of an engine's session or image fail, by a trigger in its database.
struct Fault {
    private let queue: DatabaseQueue

    private init(path: String) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    init(_ engine: Engine) throws {
        try self.init(path: engine.sessionDirectory + "/session.sqlite")
    }

    init(imageOf engine: Engine) throws {
        try self.init(path: engine.imageDirectory + "/image.sqlite")
    }

    func on() throws {
        try queue.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER fault BEFORE INSERT ON node
                    BEGIN SELECT RAISE(ABORT, 'fault'); END
                    """)
        }
    }

    func off() throws {
        try queue.write { db in try db.execute(sql: "DROP TRIGGER fault") }
    }

    /// One number out of the session's database.
    func count(_ sql: String) throws -> Int {
        try queue.read { db in try Int.fetchOne(db, sql: sql) ?? 0 }
    }
}

/// The host's file system.
enum Disk {
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    static func size(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    }

    static func contents(_ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path))
    }

    static func write(_ path: String, _ data: Data) throws {
        try data.write(to: URL(fileURLWithPath: path))
    }
}
