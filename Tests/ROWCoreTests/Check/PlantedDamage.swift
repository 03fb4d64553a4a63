import Foundation
import Testing

@testable import ROWCore

/// One kind of damage: how it comes about, what the check calls it, and what it spoils.
struct PlantedDamage: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let kind: SessionFinding.Kind
    /// Files that cannot be what they were; "" for the root's names.
    let harmed: Set<String>
    let plant: @Sendable (DamagedSession) throws -> Void

    private init(
        _ name: String, _ kind: SessionFinding.Kind, harmed: Set<String> = [],
        _ plant: @escaping @Sendable (DamagedSession) throws -> Void
    ) {
        testDescription = name
        self.kind = kind
        self.harmed = harmed
        self.plant = plant
    }

    private static let sessionBit = Int64(NodeID.sessionBit)

    static let database: [PlantedDamage] = [
        .init("the last pages are missing", .databaseTruncated) { s in
            try s.edit(s.database) { $0.removeLast(2 * 4096) }
        },
        .init("the header is garbage", .notADatabase) { s in
            try s.edit(s.database) { data in for place in 0..<100 { data[place] = 0x5a } }
        },
        .init("the first page is zeros", .notADatabase) { s in
            try s.edit(s.database) { data in for place in 0..<4096 { data[place] = 0 } }
        },
        .init("the format is from the future", .databaseDamaged) { s in
            try s.edit(s.database) { $0[18] = 9 }
        },
        .init("an index is garbage", .databaseDamaged) { try $0.destroy("delta_cookie") },
        .init("stored replies are garbage", .databaseDamaged) { try $0.destroy("reply") },
        .init("presence pages are garbage", .databaseDamaged, harmed: ["file"]) {
            try $0.destroy("presence")
        },
        .init("a table is missing", .schemaDamaged) { try $0.sql("DROP TABLE reply") },
        .init("an index is missing", .schemaDamaged) { try $0.sql("DROP INDEX delta_cookie") },
        .init("migrations are forgotten", .schemaDamaged) {
            try $0.sql("DELETE FROM grdb_migrations")
        },
    ]

    static let identity: [PlantedDamage] = [
        .init("no tag", .identityMissing) { try $0.sql("DELETE FROM meta WHERE key = 'tag'") },
        .init("a tag out of range", .identityMalformed) {
            try $0.sql("UPDATE meta SET value = -1 WHERE key = 'tag'")
        },
        .init("a secret that is text", .identityMalformed) {
            try $0.sql("UPDATE meta SET value = 'x' WHERE key = 'secret_low'")
        },
        .init("no fsid", .identityMissing) { try $0.sql("DELETE FROM meta WHERE key = 'fsid'") },
        .init("no image", .identityMissing) { try $0.sql("DELETE FROM meta WHERE key = 'image'") },
        .init("no epoch", .identityMissing) { try $0.sql("DELETE FROM meta WHERE key = 'epoch'") },
        .init("a generation that is a blob", .identityMalformed) {
            try $0.sql("UPDATE meta SET value = x'00' WHERE key = 'generation'")
        },
        .init("no block size", .identityMissing) {
            try $0.sql("DELETE FROM meta WHERE key = 'block_size'")
        },
        .init("a block size of 12345", .identityMalformed) {
            try $0.sql("UPDATE meta SET value = 12345 WHERE key = 'block_size'")
        },
        .init("no counter of ids", .identityMissing) {
            try $0.sql("DELETE FROM meta WHERE key = 'next_id'")
        },
        .init("a counter of ids that overflows", .identityMalformed) {
            try $0.sql("UPDATE meta SET value = \(Int64.max) WHERE key = 'next_id'")
        },
        .init("ids would be given out again", .counterTooLow) {
            try $0.sql("UPDATE meta SET value = \(sessionBit + 2) WHERE key = 'next_id'")
        },
        .init("cookies would be given out again", .counterTooLow) {
            try $0.sql("UPDATE meta SET value = \(sessionBit) WHERE key = 'next_cookie'")
        },
        .init("a reply that is none", .replyMalformed) {
            try $0.sql("INSERT INTO reply VALUES (7, x'7f000001', 5, 8, 1, x'0102')")
        },
    ]

    static let nodes: [PlantedDamage] = [
        .init("a file of type 9", .badType) { try $0.set("new", "type = 9") },
        .init("a file that would be a directory", .badType) { try $0.set("new", "type = 2") },
        .init("a directory that would be a file", .badType) { try $0.set("made", "type = 1") },
        .init("an image's file of another type", .badType) {
            try $0.set("made/moved/inner", "type = 5")
        },
        .init("a mode out of range", .badMode) { try $0.set("new", "mode = 33188") },
        .init("an owner out of range", .badMode) { try $0.set("short", "uid = -2") },
        .init("a negative size", .badSize, harmed: ["new", "made/hard"]) {
            try $0.set("new", "size = -1")
        },
        .init("a time out of range", .badTime) { try $0.set("new", "ctime = 4294967295") },
        .init("flags that there are none of", .badFlags) { try $0.set("new", "flags = 81") },
        .init("no flag for the data", .badFlags) { try $0.set("file", "flags = 1") },
        .init("a file with data marked as removed", .badFlags) { try $0.set("file", "flags = 18") },
        .init("a directory in use marked as removed", .entryOfRemoved) {
            try $0.set("made/moved", "flags = 3")
        },
        .init("a size that is text", .rowDamaged, harmed: ["made/child"]) {
            try $0.set("made/child", "size = 'many'")
        },
        .init("a link without a text", .badLinkText, harmed: [""]) {
            try $0.set("sym", "target = NULL")
        },
        .init("a wrong count of names", .wrongLinkCount) { try $0.set("new", "nlink = 7") },
        .init("a wrong count of directories", .wrongLinkCount) { try $0.set("made", "nlink = 2") },
        .init("a wrong parent", .wrongParent) { try $0.set("made/sub", "parent = 12345") },
        .init("no row of the image's file", .contentWithoutNode, harmed: ["file"]) {
            try $0.sql("DELETE FROM node WHERE id = \($0.id("file"))")
        },
        .init("no row of a new file", .contentWithoutNode, harmed: ["new", "made/hard"]) {
            try $0.sql("DELETE FROM node WHERE id = \($0.id("new"))")
        },
        .init("no row of a new directory", .entryWithoutDirectory) {
            try $0.sql("DELETE FROM node WHERE id = \($0.id("made"))")
        },
        .init("no row of the root", .entryWithoutDirectory) {
            try $0.sql("DELETE FROM node WHERE id = 1")
        },
        .init("no row of the image's directory", .entryWithoutNode) {
            try $0.sql("DELETE FROM node WHERE id = \($0.id("made/moved"))")
        },
    ]

    static let names: [PlantedDamage] = [
        .init("a name without an object", .entryWithoutNode) {
            try $0.sql("INSERT INTO delta VALUES (1, x'67', \(sessionBit + 9), \(sessionBit + 99))")
        },
        .init("a name in no directory", .entryWithoutDirectory) {
            try $0.sql(
                "INSERT INTO delta VALUES (98765, x'67', \($0.id("new")), \(sessionBit + 99))")
        },
        .init("a name in a file", .entryWithoutDirectory) {
            try $0.sql(
                "INSERT INTO delta VALUES (\($0.id("new")), x'67', \($0.id("short")), \(sessionBit + 9))"
            )
        },
        .init("a name in a lost directory", .entryWithoutDirectory, harmed: [""]) {
            try $0.sql(
                """
                INSERT INTO delta VALUES (\(sessionBit + 9), x'67', \($0.id("new")), \(sessionBit + 9))
                """)
        },
        .init("a directory with two names", .directoryNamedTwice) {
            try $0.sql(
                "INSERT INTO delta VALUES (1, x'67', \($0.id("made/sub")), \(sessionBit + 99))")
        },
        .init("a renamed directory that kept its name", .directoryNamedTwice) {
            try $0.sql("DELETE FROM delta WHERE parent = 1 AND name = x'64'")
        },
        .init(
            "a directory in itself", .directoryCycle,
            harmed: [
                "", "made/child", "made/hard", "made/moved/inner", "made/sub/leaf",
            ]
        ) {
            try $0.sql(
                "UPDATE delta SET parent = \($0.id("made/sub")) WHERE child = \($0.id("made"))")
        },
        .init("a cookie of two names", .badCookie) {
            try $0.sql("UPDATE delta SET cookie = \(sessionBit) WHERE parent = 1 AND child != 0")
        },
        .init("a cookie of the image's", .badCookie) {
            try $0.sql("UPDATE delta SET cookie = 5 WHERE child = \($0.id("made"))")
        },
        .init("a name with a slash", .badName, harmed: [""]) {
            try $0.sql("UPDATE delta SET name = x'612f62' WHERE child = \($0.id("sym"))")
        },
        .init("a name that is text", .rowDamaged, harmed: [""]) {
            try $0.sql("UPDATE delta SET name = 'sym' WHERE child = \($0.id("sym"))")
        },
        .init("an object without a name", .nodeWithoutName, harmed: ["made/child"]) {
            try $0.sql("DELETE FROM delta WHERE child = \($0.id("made/child"))")
        },
    ]

    static let content: [PlantedDamage] = [
        .init("no map of a new file", .contentMissing) { s in
            for table in ["content", "presence", "partial"] {
                try s.sql("DELETE FROM \(table) WHERE node = \(s.id("new"))")
            }
        },
        .init("no map of the image's file", .contentMissing, harmed: ["file"]) { s in
            for table in ["content", "presence", "partial"] {
                try s.sql("DELETE FROM \(table) WHERE node = \(s.id("file"))")
            }
        },
        .init("no record of what shows", .contentMissing) {
            try $0.sql("DELETE FROM content WHERE node = \($0.id("file"))")
        },
        .init("more of the image than there is", .mainValidTooLarge) {
            try $0.sql(
                "UPDATE content SET main_valid = 1000000000000 WHERE node = \($0.id("file"))")
        },
        .init("a new file that shows the image", .mainValidTooLarge) {
            try $0.sql("UPDATE content SET main_valid = 4096 WHERE node = \($0.id("new"))")
        },
        .init("a wrong count of blocks", .wrongBlockCount) {
            try $0.sql("UPDATE content SET blocks = 2 WHERE node = \($0.id("new"))")
        },
        .init("a page of a new file is lost", .presenceDamaged) {
            try $0.sql("DELETE FROM presence WHERE node = \($0.id("new"))")
        },
        .init("a page of the image's file is lost", .presenceDamaged, harmed: ["file"]) {
            try $0.sql("DELETE FROM presence WHERE node = \($0.id("file"))")
        },
        .init("a damaged page of a new file", .presenceDamaged) {
            try $0.sql("UPDATE presence SET bits = x'0102' WHERE node = \($0.id("new"))")
        },
        .init("a damaged page of the image's file", .presenceDamaged, harmed: ["file"]) {
            try $0.sql("UPDATE presence SET bits = x'0102' WHERE node = \($0.id("file"))")
        },
        .init("a page that no file has", .presenceDamaged) {
            try $0.sql(
                "INSERT INTO presence VALUES (\($0.id("new")), 0, \(Int64.max), x'0100000000000000')"
            )
        },
        .init("a page past the end", .presenceBeyondEnd) {
            try $0.sql("INSERT INTO presence VALUES (\($0.id("new")), 0, 9, x'0100000000000000')")
        },
        .init("a size that hides data", .presenceBeyondEnd, harmed: ["new", "made/hard"]) {
            try $0.set("new", "size = 5")
        },
        .init("ranges of half a word", .partialDamaged, harmed: ["file"]) {
            try $0.sql(
                "UPDATE partial SET ranges = x'010203' WHERE node = \($0.id("file")) AND block = 0")
        },
        .init("ranges of half a word in a new file", .partialDamaged) {
            try $0.sql("UPDATE partial SET ranges = x'01' WHERE node = \($0.id("short"))")
        },
        .init("a block whole and in part", .partialRecordedTwice) {
            try $0.sql(
                "INSERT INTO partial VALUES (\($0.id("new")), 0, 1, x'0000000005000000')")
        },
        .init("data behind what nobody wrote", .partialOutOfOrder, harmed: ["short"]) {
            try $0.sql(
                """
                UPDATE partial SET ranges = x'000000000a0000001400000088030000'
                WHERE node = \($0.id("short"))
                """)
        },
        .init("a layer that there is none of", .unknownLayer) {
            try $0.sql("INSERT INTO presence VALUES (\($0.id("new")), 3, 0, x'01')")
        },
        .init("a shadow is missing", .shadowMissing, harmed: ["new", "made/hard"]) {
            try FileManager.default.removeItem(atPath: $0.shadow("new"))
        },
        .init("a shadow is short", .shadowTooShort, harmed: ["new", "made/hard"]) { s in
            try s.edit(s.shadow("new")) { $0.removeLast($0.count - 5000) }
        },
        .init("a shadow is long", .shadowTooLong) { s in
            try s.edit(s.shadow("new")) { $0.append(Data(repeating: 9, count: 100_000)) }
        },
        .init("a shadow of nobody", .shadowOrphan) { s in
            try Disk.write(s.directory + "/shadow/abcdef.0", Data([1, 2, 3]))
        },
        .init("a shadow of a later time", .shadowOrphan) { s in
            try Disk.write(s.directory + "/shadow/4000000000ffffff.0", Data([1, 2, 3]))
        },
        .init("a file that is none of ours", .shadowForeign) { s in
            try Disk.write(s.directory + "/shadow/core", Data([1, 2, 3]))
        },
        .init("a directory in the shadow", .shadowForeign) { s in
            try FileManager.default.createDirectory(
                atPath: s.directory + "/shadow/5.0", withIntermediateDirectories: false)
        },
    ]

    static let all = database + identity + nodes + names + content
}
