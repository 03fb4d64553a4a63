import GRDB

/// image.sqlite: the names, attributes and handles of main that have been seen. Rows are only added:
/// an image never changes, and an id that was given out is never taken back.
enum ImageSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
                    CREATE TABLE node (
                        id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL,
                        type INTEGER NOT NULL, mode INTEGER NOT NULL, nlink INTEGER NOT NULL,
                        uid INTEGER NOT NULL, gid INTEGER NOT NULL, size INTEGER NOT NULL,
                        used INTEGER NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL,
                        fsid INTEGER NOT NULL, fileid INTEGER NOT NULL, atime INTEGER NOT NULL,
                        mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
                        complete INTEGER NOT NULL DEFAULT 0, target BLOB);
                    CREATE TABLE dentry (
                        parent INTEGER NOT NULL, name BLOB NOT NULL, child INTEGER NOT NULL,
                        cookie INTEGER NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID;
                    CREATE UNIQUE INDEX dentry_cookie ON dentry (parent, cookie);
                    CREATE TABLE link (
                        replica INTEGER NOT NULL, fsid INTEGER NOT NULL, fileid INTEGER NOT NULL,
                        node INTEGER NOT NULL, PRIMARY KEY (replica, fsid, fileid)) WITHOUT ROWID;
                    CREATE TABLE handle (
                        node INTEGER NOT NULL, replica INTEGER NOT NULL, handle BLOB NOT NULL,
                        PRIMARY KEY (node, replica)) WITHOUT ROWID;
                    """)
        }
        migrator.registerMigration("2") { db in
            // Servers of equal content, by URL, under the numbers that rows of `link` and `handle` have.
            // What a node's fsid, fileid and ctime mean depends on which of them reported it.
            try db.execute(
                sql: """
                    CREATE TABLE replica (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE);
                    INSERT INTO replica SELECT 0, value FROM meta WHERE key = 'source';
                    ALTER TABLE node ADD COLUMN replica INTEGER NOT NULL DEFAULT 0;
                    CREATE INDEX node_linked ON node (size, mtime)
                        WHERE nlink > 1 AND type <> 2;
                    """)
        }
        migrator.registerMigration("3") { db in
            // Files whose blocks are not given up for those of others.
            try db.execute(sql: "CREATE TABLE pin (node INTEGER PRIMARY KEY)")
        }
        return migrator
    }
}
