import Foundation
import NFSProtocol
import ROWCore
import ROWTestKit

/// Changed blocks of a session: every other block of one file, which makes the most of what must be known
/// of them. They are small, so that ten million fit a disk; what is known of a block does not depend on
/// its size.
enum BlocksCurve {
    private static let counts = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
    private static let blockBytes = LayerMap.blockSizeMinimum
    /// Of changed blocks, and of all.
    private static let stride: UInt64 = 2
    private static let file = "data"
    /// A file system keeps no less than a page: both of two blocks.
    private static let spaceBytes = UInt64(counts.reduce(0, +)) * stride * blockBytes * 11 / 10

    static func measure(_ settings: Settings) async throws -> [Curve] {
        let folder = try TemporaryDirectory("rowfs-bench")
        try checkSpace(in: folder)
        var parts: [[[Double]]] = [[], [], []]
        for count in counts {
            note("changing \(count) blocks")
            for (index, values) in try prepare(count, folder, settings).enumerated() {
                parts[index].append(values)
            }
        }
        let whole = try await wholePath(folder, settings)
        let names = ["LayerMap.run", "plan of a READ", "WRITE, in this process"]
        return [
            Curve(
                name: "blocks-parts", title: "Changed blocks, parts alone",
                xTitle: "changed blocks", unit: "ns per operation",
                lines: zip(names, parts).map { Curve.line($0, counts, $1) })
        ] + whole
    }

    private static func checkSpace(in folder: TemporaryDirectory) throws {
        let values = try folder.url.resourceValues(forKeys: [.volumeAvailableCapacityKey])
        guard let free = values.volumeAvailableCapacity, UInt64(free) > spaceBytes else {
            throw CocoaError(
                .fileWriteOutOfSpace,
                userInfo: [
                    NSLocalizedDescriptionKey:
                        "the curve of blocks needs \(spaceBytes >> 30) GiB in TMPDIR; make room, or "
                        + "leave it out with --filter"
                ])
        }
    }

    private static func files(_ count: Int, _ folder: TemporaryDirectory) -> String {
        folder.path("image.\(count)")
    }

    private static func state(_ count: Int, _ folder: TemporaryDirectory) -> String {
        folder.path("state.\(count)")
    }

    // MARK: In this process

    /// Makes the changes, and measures what plans READs and WRITEs of them.
    private static func prepare(
        _ count: Int, _ folder: TemporaryDirectory, _ settings: Settings
    ) throws -> [[Double]] {
        let place = files(count, folder)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try TestFile.makeSparse(
            "\(place)/\(file)", bytes: count * Int(stride * blockBytes))
        let local = try LocalSession(
            files: place, state: state(count, folder), blockBytes: blockBytes, isDurable: true)
        let id = try local.find(file)
        var map = LayerMap(
            blockSize: blockBytes, mainValid: UInt64(count) * stride * blockBytes)
        let block = [UInt8](repeating: 7, count: Int(blockBytes))
        for index in 0..<UInt64(count) {
            let offset = index * stride * blockBytes
            map.wrote(offset..<(offset + blockBytes))
            try write(block, id, offset, local)
            // What is not recorded yet is bounded, as it is for clients.
            if index % 1_000_000 == 999_999 { try commit(id, local) }
        }
        try commit(id, local)
        let parts = [
            run(count, map), plan(count, id, local), write(count, block, id, local),
        ]
        let times = parts.map {
            Part.times(of: $0, rounds: settings.rounds, seconds: settings.seconds)
        }
        try commit(id, local)
        return times
    }

    private static func write(
        _ bytes: [UInt8], _ id: NodeID, _ offset: UInt64, _ local: LocalSession
    ) throws(Interrupt) {
        let result: Result<Void, Interrupt> = bytes.withUnsafeBytes { raw in
            do throws(Interrupt) {
                _ = try local.session.write(
                    id, offset: offset, data: raw, stable: .unstable, .root)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private static func commit(_ id: NodeID, _ local: LocalSession) throws(Interrupt) {
        _ = try local.run { session throws(Interrupt) in try session.commitFile(id) }
        try local.commit()
    }

    /// Changed blocks that follow one another like those of a random reader.
    private static func scattered(_ index: Int, _ count: Int) -> UInt64 {
        UInt64(index) &* 0x9e37_79b9_7f4a_7c15 % UInt64(count) * stride * blockBytes
    }

    private static func run(_ count: Int, _ map: LayerMap) -> (Int) -> UInt64 {
        { times in
            var sum: UInt64 = 0
            for index in 0..<times {
                let offset = scattered(index, count)
                sum &+= map.run(at: offset, limit: offset + 8 * blockBytes).range.upperBound
            }
            return sum
        }
    }

    private static func plan(
        _ count: Int, _ id: NodeID, _ local: LocalSession
    ) -> (Int) -> UInt64 {
        { times in
            var sum: UInt64 = 0
            for index in 0..<times {
                let offset = scattered(index, count)
                sum &+= mustSucceed { () throws(Interrupt) in
                    try local.session.planRead(
                        id, offset: offset, count: Int(blockBytes), .root
                    ).range.upperBound
                }
            }
            return sum
        }
    }

    private static func write(
        _ count: Int, _ bytes: [UInt8], _ id: NodeID, _ local: LocalSession
    ) -> (Int) -> UInt64 {
        { times in
            for index in 0..<times {
                mustSucceed { () throws(Interrupt) in
                    try write(bytes, id, scattered(index, count), local)
                }
            }
            return UInt64(times)
        }
    }

    // MARK: Whole path

    private static let operations = [
        (name: "READ", load: load(.read, inFlight: 8)), ("WRITE", load(.write, inFlight: 8)),
        ("WRITE and COMMIT, x1", load(.writeCommit, inFlight: 1)),
    ]

    private static func load(_ operation: Load.Operation, inFlight: Int) -> Load {
        Load(
            operation: operation, sizeBytes: Int(blockBytes), inFlight: inFlight, file: file,
            isRandom: true, stride: Int(stride), client: .raw)
    }

    private static func wholePath(
        _ folder: TemporaryDirectory, _ settings: Settings
    ) async throws -> [Curve] {
        var proxies: [Int: RowctlProcess] = [:]
        for count in counts {
            proxies[count] = try await RowctlProcess.start(
                [
                    "serve", files(count, folder), "--session", "bench", "--state",
                    state(count, folder),
                ])
        }
        let proxy = { (count: Int) in
            guard let proxy = proxies[count] else { preconditionFailure("not one of the counts") }
            return proxy
        }
        var lines: [Curve.Line] = []
        for (name, load) in operations {
            let results = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
                try await load.run(on: Server(proxy(count)), seconds: settings.seconds)
            }
            lines += Curve.lines(name, counts, results)
        }
        let starts = try await Curve.rounds(settings.rounds, at: counts) { count, _ in
            try await start(again: proxy(count))
        }
        for proxy in proxies.values { try await proxy.terminate() }
        return [
            Curve(
                name: CurveCase.blocks.rawValue, title: "Changed blocks",
                xTitle: "changed blocks", unit: "µs per call", lines: lines),
            Curve(
                name: "blocks-start", title: "Changed blocks, start after SIGKILL",
                xTitle: "changed blocks", unit: "ms until the first READ is answered",
                lines: [Curve.line("start", counts, starts)]),
        ]
    }

    /// - Returns: milliseconds from the start of the program to the answer of the first READ, with those
    ///   of the client's own start.
    private static func start(again proxy: RowctlProcess) async throws -> Double {
        try await proxy.kill()
        let clock = ContinuousClock()
        let begin = clock.now
        try await proxy.restart()
        try await load(.read, inFlight: 1).run(on: Server(proxy), calls: 1)
        return (clock.now - begin) / .milliseconds(1)
    }
}
