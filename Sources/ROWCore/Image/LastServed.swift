import Foundation
import GRDB
public import SystemPackage

/// How an image was served last, for what is done to it when nobody does.
public struct LastServed: Sendable, Hashable {
    /// The image's servers, as they were written.
    public var servers: String?
    /// How much storage its blocks might take up.
    public var cacheLimit: UInt64?
    /// What its manifest had to be.
    public var manifestRoot: ContentHash?

    public init(servers: String?, cacheLimit: UInt64?, manifestRoot: ContentHash? = nil) {
        self.servers = servers
        self.cacheLimit = cacheLimit
        self.manifestRoot = manifestRoot
    }

    /// Reads it without changing anything.
    /// - Parameter directory: the image's.
    /// - Returns: nil when there is no database.
    public static func read(_ directory: FilePath) -> LastServed? {
        let path = directory.appending("image.sqlite").string
        let queue = try? StateDatabase.openToRead(path)
        return try? queue?.read { db in
            let servers = try String.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'servers'")
            let limit = try Int64.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'cache_limit'")
            let root = try Data.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'signed_root'")
            return LastServed(
                servers: servers, cacheLimit: limit.map { UInt64(clamping: $0) },
                manifestRoot: root.flatMap { root in
                    guard root.count == ContentHash.byteCount else { return nil }
                    return root.withUnsafeBytes { ContentHash(bytes: $0) }
                })
        }
    }

    func write(_ db: GRDB.Database) throws {
        let values: [(String, (any DatabaseValueConvertible)?)] = [
            ("servers", servers), ("cache_limit", cacheLimit.map { Int64(clamping: $0) }),
            ("signed_root", manifestRoot.map { Data($0.bytes) }),
        ]
        for (key, value) in values {
            try db.execute(
                sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                arguments: [key, value])
        }
    }
}
