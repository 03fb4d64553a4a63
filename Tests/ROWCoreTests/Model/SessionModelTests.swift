import Foundation
import NFSProtocol
import Testing

@testable import ROWCore

/// Random operations on a session and on a plain tree in memory come to the same, across restarts and
/// crashes. `ROWFS_SEED=… swift test --filter SessionModelTests` repeats a run; `ROWFS_LONG=1` makes
/// it ten times as long.
@Suite struct SessionModelTests {
    /// About thirty objects: files of all sizes, directories in directories, links hard and symbolic.
    static func image(_ random: inout Randomness) -> PlainTree {
        var tree = PlainTree(rootMode: 0o777)
        let isCounted = random.below(3) > 0
        if !isCounted { tree[PlainTree.root].attributes.nlink = 1 }
        let owners: [UInt32] = [0, 1000, 2000]
        for directory in ["a", "b", "a/c", "a/c/d", "e"] {
            let mode: UInt32 = [0o777, 0o755, 0o1777, 0o2775][random.below(4)]
            let id = tree.make(directory, .directory, mode: mode, uid: owners[random.below(3)])
            if !isCounted { tree[id].attributes.nlink = 1 }
        }
        var files: [Int] = []
        for path in [
            "f", "g", "a/a", "a/b", "a/e", "a/f", "b/a", "b/b", "b/c", "a/c/a", "a/c/b", "a/c/c",
            "a/c/d/a", "a/c/d/b", "e/x1", "e/x2", "e/x3", "e/x4", "e/x5",
        ] {
            let count = random.below(3) == 0 ? random.below(40_000) : random.below(3000)
            let from = random.below(20_000)
            files.append(
                tree.make(
                    path, mode: [0o644, 0o666, 0o600, 0o4755][random.below(4)],
                    uid: owners[random.below(3)],
                    data: Array(OperationGenerator.bytes[from..<(from + count)])))
        }
        tree.hardLink(files[0], "b/hard")
        tree.hardLink(files[0], "a/c/hard")
        tree.hardLink(files[9], "hard")
        tree.make("b/link", .symbolicLink, mode: 0o777, target: "../f")
        tree.make("a/c/fifo", .fifo, mode: 0o666)
        return tree
    }

    private static let lanes = 0..<8

    @Test(arguments: lanes)
    func aSessionIsAPlainTree(lane: Int) throws {
        let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil
        var done = 0
        for episode in 0..<(isLong ? 50 : 5) {
            var random = Randomness(for: UInt64(lane * 1000 + episode))
            let tree = Self.image(&random)
            var options = Engine.Options()
            options.blockSize = lane % 2 == 0 ? 512 : 4096
            options.limit = lane % 4 < 2 ? 10 : nil
            let simulation = try SessionSimulation(tree, random, options)
            simulation.run(5000)
            done += simulation.count
        }
        #expect(done >= 25_000 || !isLong, "\(done)")
    }
}
