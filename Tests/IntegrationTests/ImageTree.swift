import Foundation
import Glibc
import ROWTestKit

/// The tree that the tests serve as main: some of everything, with more than one page of names in
/// `many`, and one big file with holes.
struct ImageTree {
    /// Real data in ``big``: at its start, around its middle, at its end; zeros elsewhere.
    static let bigBytes = 256 << 20
    private static let runBytes = 1 << 20

    let path: String

    /// Makes the tree.
    /// - Parameter bigBytes: the size of `big`, at least 8 MiB.
    init(at path: String, bigBytes: Int = Self.bigBytes, seed: Seed = Seed()) throws {
        self.path = path
        var generator = seed.makeGenerator()
        for name in ["docs/deep/er", "empty", "many", "shared", "trash/inside", "held"] {
            try FileManager.default.createDirectory(
                atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        }
        try file("hello", "hello, world\n")
        try file("notes", "one\ntwo\nthree\n")
        try file("docs/readme", "read me\n")
        try file("docs/deep/er/leaf", "leaf\n")
        try file("trash/file", "rubbish\n")
        try file("trash/inside/file", "more rubbish\n")
        try file("held/open", "before the restart\n")
        try file("secret", "for root only\n", mode: 0o600)
        try file("mine", "of uid 1000\n", mode: 0o640, owner: 1000)
        try file("linked", "two names\n")
        try FileManager.default.linkItem(atPath: "\(path)/linked", toPath: "\(path)/docs/linked")
        try FileManager.default.createSymbolicLink(
            atPath: "\(path)/pointer", withDestinationPath: "docs/../hello")
        guard chmod("\(path)/shared", 0o1777) == 0 else { throw POSIXError(.EPERM) }
        for number in 1...1000 {
            let name = String(number)
            try file("many/file-" + String(repeating: "0", count: 4 - name.count) + name, name)
        }
        try file("shrink", Self.noise(10_000, &generator))
        try file("big", Data())
        let big = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(path)/big"))
        try big.truncate(atOffset: UInt64(bigBytes))
        for start in [0, bigBytes / 2 - Self.runBytes / 2, bigBytes - Self.runBytes] {
            try big.seek(toOffset: UInt64(start))
            try big.write(contentsOf: Self.noise(Self.runBytes, &generator))
        }
        try big.close()
    }

    /// A second tree that is equal, owners, times and hard links included.
    func copy(to target: String) async throws {
        try await runTool("cp", ["-a", "--sparse=always", path, target])
    }

    private func file(_ name: String, _ text: String, mode: UInt32 = 0o644, owner: UInt32 = 0)
        throws
    {
        try file(name, Data(text.utf8))
        guard chmod("\(path)/\(name)", mode) == 0, chown("\(path)/\(name)", owner, owner) == 0
        else {
            throw POSIXError(.EPERM)
        }
    }

    private func file(_ name: String, _ data: Data) throws {
        try data.write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    private static func noise(_ count: Int, _ generator: inout Seed.Generator) -> Data {
        precondition(count.isMultiple(of: 8))
        let words = (0..<count / 8).map { _ in generator.next() }
        return words.withUnsafeBytes { Data($0) }
    }
}
