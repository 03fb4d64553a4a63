/// The file `manifest.sqlite`: all names and attributes of an image, and a hash of each block.
///
/// Objects are numbered as a walk meets them that goes through one directory after the other, in the order
/// of their numbers, and through the names of each in the order of their bytes. So the entries of a directory
/// are neighbours, and a directory's number is greater than that of the one it is in. Rows are written in
/// that order, names first, so that a listing and the attributes of its entries lie in the same place.
enum ManifestSchema {
    static let format: Int64 = 1
    /// Hashes in a row of `chunks`.
    static let pageBlocks: UInt64 = 256

    /// By name, exactly as SQLite keeps them: a manifest with anything else is none.
    static let tables = [
        ("meta", "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID"),
        (
            // `size` is 0 but for files and links. Directories alone have a parent and a name, so that each
            // is in one place only; links a target; devices numbers.
            "node",
            """
            CREATE TABLE node (
                id INTEGER PRIMARY KEY, type INTEGER NOT NULL, mode INTEGER NOT NULL,
                nlink INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,
                size INTEGER NOT NULL, mtime INTEGER NOT NULL, major INTEGER, minor INTEGER,
                parent INTEGER, name BLOB, target BLOB)
            """
        ),
        (
            "dentry",
            """
            CREATE TABLE dentry (
                parent INTEGER NOT NULL, name BLOB NOT NULL, child INTEGER NOT NULL,
                PRIMARY KEY (parent, name)) WITHOUT ROWID
            """
        ),
        (
            "chunks",
            """
            CREATE TABLE chunks (
                node INTEGER NOT NULL, page INTEGER NOT NULL, hashes BLOB NOT NULL,
                PRIMARY KEY (node, page)) WITHOUT ROWID
            """
        ),
    ]

    /// How many blocks a file has.
    static func blockCount(size: UInt64) -> UInt64 {
        (size + CacheLayout.blockBytes - 1) / CacheLayout.blockBytes
    }

    /// How many rows of `chunks` a file has.
    static func pageCount(size: UInt64) -> UInt64 {
        (blockCount(size: size) + pageBlocks - 1) / pageBlocks
    }

    /// The blocks that a row of `chunks` is for.
    static func blocks(of page: UInt64, size: UInt64) -> Range<UInt64> {
        let start = page * pageBlocks
        return start..<min(start + pageBlocks, blockCount(size: size))
    }
}
