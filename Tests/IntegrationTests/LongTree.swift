import Foundation
import Glibc
import ROWTestKit

/// The image of the long script: an ``ImageTree`` in `work` and what else the script wants to find
/// there, and a directory of thousands of files in `huge`.
struct LongTree {
    static let hugeCount = 10_000

    let path: String
    private let work: ImageTree

    init(at path: String, seed: Seed) async throws {
        self.path = path
        work = try ImageTree(at: "\(path)/work", seed: seed)
        // Readable and writable by the ordinary user in every combination of the nine bits, as the
        // owner, as a member of the group and as one of the others.
        try FileManager.default.createDirectory(
            atPath: "\(path)/work/modes", withIntermediateDirectories: false)
        for mode in 0..<UInt32(0o1000) {
            let role = (mode + mode / 8 + mode / 64) % 3
            let digits = String(mode, radix: 8)
            let name = String(repeating: "0", count: 3 - digits.count) + digits
            try file(
                "work/modes/\(name)", mode: mode, owner: role == 0 ? 1000 : 0,
                group: role == 1 ? 1000 : 0)
        }
        for mode: UInt32 in [0o4777, 0o2777, 0o6777, 0o2767, 0o6766] {
            try file("work/program-\(String(mode, radix: 8))", mode: mode)
        }
        try await runTool(
            "sqlite3",
            [
                "\(path)/work/library.db",
                """
                CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT UNIQUE, pages INTEGER);
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                    INSERT INTO book SELECT i, 'title ' || i, i * 7 % 400 FROM n;
                """,
            ])
        try FileManager.default.createDirectory(
            atPath: "\(path)/huge", withIntermediateDirectories: false)
        for number in 0..<Self.hugeCount { try file("huge/entry-\(number)", mode: 0o644) }
    }

    /// A second tree that is equal, owners, times and hard links included.
    func copy(to target: String) async throws {
        try await runTool("cp", ["-a", "--sparse=always", path, target])
    }

    private func file(
        _ name: String, mode: UInt32, owner: UInt32 = 0, group: UInt32 = 0
    ) throws {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(.EIO) }
        defer { close(descriptor) }
        // A change of owner takes set-id bits away, so the mode comes last.
        guard name.hasPrefix("huge/") || write(descriptor, "text\n", 5) == 5,
            fchown(descriptor, owner, group) == 0, fchmod(descriptor, mode) == 0
        else { throw POSIXError(.EIO) }
    }
}
