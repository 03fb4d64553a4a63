import GRDB

/// session.sqlite: one client's changes to an image, and nothing about what it did not change.
enum SessionSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
                    CREATE TABLE node (
                        id INTEGER PRIMARY KEY, flags INTEGER NOT NULL, parent INTEGER NOT NULL,
                        verifier INTEGER, target BLOB, main_path BLOB,
                        type INTEGER NOT NULL, mode INTEGER NOT NULL, nlink INTEGER NOT NULL,
                        uid INTEGER NOT NULL, gid INTEGER NOT NULL, size INTEGER NOT NULL,
                        used INTEGER NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL,
                        atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL);
                    CREATE TABLE delta (
                        parent INTEGER NOT NULL, name BLOB NOT NULL, child INTEGER NOT NULL,
                        cookie INTEGER NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID;
                    CREATE INDEX delta_cookie ON delta (parent, cookie);
                    CREATE TABLE content (
                        node INTEGER NOT NULL, layer INTEGER NOT NULL,
                        main_valid INTEGER NOT NULL, blocks INTEGER NOT NULL,
                        allocated INTEGER NOT NULL, PRIMARY KEY (node, layer)) WITHOUT ROWID;
                    CREATE TABLE presence (
                        node INTEGER NOT NULL, layer INTEGER NOT NULL, page INTEGER NOT NULL,
                        bits BLOB NOT NULL, PRIMARY KEY (node, layer, page)) WITHOUT ROWID;
                    CREATE TABLE partial (
                        node INTEGER NOT NULL, layer INTEGER NOT NULL, block INTEGER NOT NULL,
                        ranges BLOB NOT NULL, PRIMARY KEY (node, layer, block)) WITHOUT ROWID;
                    CREATE TABLE reply (
                        sequence INTEGER PRIMARY KEY, client BLOB NOT NULL, xid INTEGER NOT NULL,
                        procedure INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL);
                    CREATE INDEX reply_client ON reply (client, sequence);
                    """)
        }
        return migrator
    }
}
