import Foundation
import Glibc
import ROWTestKit

/// An image on a file system, a session on it, nfs-ganesha with a copy of it that may be changed, and the
/// peers of the run, all of which keep their changes on the same file system.
final class RedirectLab {
    private let settings: Settings
    private let report: Report
    private let disk: LoopDisk
    private let proxy: RowctlProcess
    private let rival: Ganesha
    private let peers: [any LocalPeer]
    /// Medians in ms, of rowfs, by the size of the file.
    private var firstWrites: [Double] = []

    private static let diskBytes = 40 << 30
    private static let dataBytes = 64 << 20
    private static let storedBytes = 256 << 20
    /// Of what takes one call, of which one sample says little.
    private static let samplesOfRound = 4
    /// Copies of long files take seconds each, and room.
    private static let copiesMaximum = 2
    private static let namesInDirectory = 1000
    private static let block = 4096
    private static let overwrites = 2000
    private static let storedWrites = 6000

    static func measure(_ settings: Settings, into report: Report) async throws {
        let cases = RedirectCase.allCases.filter { settings.selects($0.name) }
        let lab = try await RedirectLab(cases, settings, report)
        for item in cases { try await lab.measure(item) }
        if lab.firstWrites.count == 3 {
            let mean = lab.firstWrites.reduce(0, +) / 3
            let furthest = lab.firstWrites.map { abs($0 - mean) / mean }.max() ?? 0
            report.claim(.firstWriteSame, "1 MiB, 1 GiB, 8 GiB", furthest)
        }
        try await lab.stop()
    }

    // MARK: Files and servers

    private init(_ cases: [RedirectCase], _ settings: Settings, _ report: Report) async throws {
        self.settings = settings
        self.report = report
        disk = try await LoopDisk(bytes: Self.diskBytes)
        note("making files and starting programs in \(disk.path)")
        let image = try disk.directory("image")
        let copy = try disk.directory("copy")
        for item in cases {
            for directory in [image, copy] {
                try Self.makeFiles(item, in: directory, rounds: settings.rounds)
            }
        }
        let peers = settings.peers.filter { $0 != .ganesha }
        if cases.contains(.firstWrite1G), !peers.isEmpty {
            try Self.makeRealFiles(in: image, rounds: settings.rounds)
        }
        // Then a RENAME is on disk when it is answered, as ours is.
        try await run("chattr", "-R", "+D", copy)
        proxy = try await RowctlProcess.start(
            ["serve", image, "--session", "bench", "--state", disk.path("state")])
        rival = try await Ganesha.start(directory: copy, readOnly: false)
        var started: [any LocalPeer] = []
        for peer in peers.sorted(by: { $0.rawValue < $1.rawValue }) {
            started.append(
                peer == .qcow2
                    ? try Qcow2Peer(image: image, disk: disk)
                    : try await OverlayPeer(peer, image: image, disk: disk))
        }
        self.peers = started
    }

    private static func makeFiles(
        _ item: RedirectCase, in directory: String, rounds: Int
    ) throws {
        switch item {
        case .firstWrite1M, .firstWrite1G, .firstWrite8G:
            // One more to warm up.
            for number in 0...rounds * samplesOfRound {
                let path = "\(directory)/\(firstName(item, number))"
                // Of the long ones there is only what the write falls into.
                try TestFile.make(path, bytes: 1 << 20, seed: 1)
                guard truncate(path, item.firstWriteBytes ?? 0) == 0 else { throw failure() }
            }
        case .overwrites:
            for round in 0..<rounds {
                try TestFile.make("\(directory)/over.\(round)", bytes: dataBytes, seed: 1)
            }
        case .stored:
            try TestFile.make("\(directory)/stored", bytes: storedBytes, seed: 1)
        case .halfSequential, .halfRandom:
            for name in ["half", "twin"] {
                try TestFile.make("\(directory)/\(name)", bytes: dataBytes, seed: 1)
            }
        case .renameDirectory:
            for number in 0..<rounds * samplesOfRound {
                let path = "\(directory)/directory.\(number)"
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: false)
                for name in 0..<namesInDirectory {
                    try Data().write(to: URL(fileURLWithPath: "\(path)/\(name)"))
                }
            }
        }
    }

    private static func firstName(_ item: RedirectCase, _ number: Int) -> String {
        "first.\((item.firstWriteBytes ?? 0) >> 20)M.\(number)"
    }

    /// Files with all of their 1 GiB, for who copies them.
    private static func makeRealFiles(in directory: String, rounds: Int) throws {
        for round in 0..<min(rounds, copiesMaximum) {
            try TestFile.make("\(directory)/real.\(round)", bytes: 1 << 30, seed: 1)
        }
    }

    private func stop() async throws {
        for peer in peers { try await peer.stop() }
        try await proxy.terminate()
        try await rival.stop()
        try await disk.unmount()
    }

    // MARK: Measuring

    private func measure(_ item: RedirectCase) async throws {
        switch item {
        case .firstWrite1M, .firstWrite1G, .firstWrite8G: try await firstWrite(item)
        case .overwrites: try await overwrite(item)
        case .stored: try await store(item)
        case .halfSequential: try await half(item, sizeBytes: 64 << 10, isRandom: false)
        case .halfRandom: try await half(item, sizeBytes: Self.block, isRandom: true)
        case .renameDirectory: try await rename(item)
        }
    }

    /// Both servers in turns, with what each has found.
    private func inTurns(
        _ body: (_ server: Server, _ round: Int) async throws -> [Double]
    ) async throws -> (rowfs: Samples, ganesha: Samples) {
        var found: [[Double]] = [[], []]
        for round in 0..<settings.rounds {
            for (index, server) in [Server(proxy), Server(rival)].enumerated() {
                // What others wrote is not to be waited for in this one's sync.
                try await run("sync", "-f", disk.path)
                found[index] += try await body(server, round)
            }
        }
        return (Samples(found[0]), Samples(found[1]))
    }

    private func firstWrite(_ item: RedirectCase) async throws {
        let write = { (server: Server, number: Int) in
            let load = Load(
                operation: .writeCommit, sizeBytes: Self.block, inFlight: 1,
                file: Self.firstName(item, number))
            return try await load.run(on: server, calls: 1).milliseconds
        }
        for server in [Server(proxy), Server(rival)] {
            _ = try await write(server, settings.rounds * Self.samplesOfRound)
        }
        let found = try await inTurns { server, round in
            var times: [Double] = []
            for sample in 0..<Self.samplesOfRound {
                times.append(try await write(server, round * Self.samplesOfRound + sample))
            }
            return times
        }
        firstWrites.append(found.rowfs.median)
        let ratio = add(item, "ms", found, goal: .firstWrite)
        report.claim(.firstWrite, item.name, ratio)
        for peer in peers {
            let times = Samples(try await firstWrites(item, by: peer))
            add(
                item, peer, "ms", times, ratio: times.median / found.ganesha.median,
                note: item == .firstWrite8G ? "a sparse file" : nil)
        }
    }

    /// Times in ms.
    private func firstWrites(_ item: RedirectCase, by peer: any LocalPeer) async throws -> [Double]
    {
        let isLong = item != .firstWrite1M
        var times: [Double] = []
        for round in 0..<min(settings.rounds, isLong ? Self.copiesMaximum : .max) {
            let name = item == .firstWrite1G ? "real.\(round)" : Self.firstName(item, round)
            let path = try await peer.show(name)
            try await run("sync", "-f", disk.path)
            let begin = now()
            let file = try LocalFile(path)
            try file.write(block: 0)
            try file.sync()
            times.append((now() - begin) * 1000)
            if isLong, peer is OverlayPeer { unlink(path) }
        }
        return times
    }

    private func overwrite(_ item: RedirectCase) async throws {
        let found = try await inTurns { server, round in
            let load = Load(
                operation: .write, sizeBytes: Self.block, inFlight: 1, file: "over.\(round)",
                isRandom: true)
            return [try await load.run(on: server, calls: Self.overwrites).callsPerSecond]
        }
        report.claim(.overwrites, item.name, add(item, "writes/s", found, goal: .overwrites))
        for peer in peers {
            var speeds: [Double] = []
            for round in 0..<settings.rounds {
                let file = try LocalFile(try await peer.show("over.\(round)"))
                let order = Self.order(Self.dataBytes / Self.block)
                let begin = now()
                for block in order.prefix(Self.overwrites) { try file.write(block: block) }
                speeds.append(Double(Self.overwrites) / (now() - begin))
            }
            add(
                item, peer, "writes/s", Samples(speeds),
                ratio: Samples(speeds).median / found.ganesha.median,
                note: peer is OverlayPeer ? "after it has copied the file" : nil)
        }
    }

    private func store(_ item: RedirectCase) async throws {
        let data = Double(Self.storedWrites * Self.block)
        let shadow = disk.path("state/sessions/bench/shadow")
        let session = disk.path("state/sessions/bench")
        let before = (try await allocatedBytes(shadow), try await allocatedBytes(session))
        try await Load(
            operation: .write, sizeBytes: Self.block, inFlight: 8, file: "stored", isRandom: true
        ).run(on: Server(proxy), calls: Self.storedWrites)
        try await Load(
            operation: .writeCommit, sizeBytes: Self.block, inFlight: 1, file: "stored",
            isRandom: true
        ).run(on: Server(proxy), calls: 1)
        try await run("sync", "-f", disk.path)
        let stored = Double(try await allocatedBytes(shadow) - before.0)
        let others = Double(try await allocatedBytes(session) - before.1) - stored
        report.add(
            Measured(
                section: report.section, name: item.name, side: "rowfs", unit: "MiB",
                samples: Samples([stored / 1_048_576]), ratio: stored / data,
                note: "of \(Table.figure(data / 1_048_576)) MiB; and "
                    + "\(Table.figure(others / 1_048_576)) MiB of database and log",
                goal: GoalRow.stored.goal))
        report.claim(.stored, item.name, stored / data)
        for peer in peers {
            let file = try LocalFile(try await peer.show("stored"))
            for block in Self.order(Self.storedBytes / Self.block).prefix(Self.storedWrites) {
                try file.write(block: block)
            }
            try file.sync()
            try await run("sync", "-f", disk.path)
            let bytes = Double(try await peer.storedBytes("stored"))
            add(item, peer, "MiB", Samples([bytes / 1_048_576]), ratio: bytes / data)
        }
    }

    private func half(_ item: RedirectCase, sizeBytes: Int, isRandom: Bool) async throws {
        let server = Server(proxy)
        try await Load(
            operation: .write, sizeBytes: Self.block, inFlight: 32, file: "half", stride: 2
        ).run(on: server, calls: Self.dataBytes / Self.block / 2)
        let loads = ["half", "twin"].map {
            Load(
                operation: .read, sizeBytes: sizeBytes, inFlight: 1, file: $0, isRandom: isRandom)
        }
        for load in loads { try await load.run(on: server, calls: Self.dataBytes / sizeBytes) }
        try await addHalf(item, "rowfs") { index in
            try await loads[index].run(on: server, seconds: settings.seconds).megabytesPerSecond
        }
        for peer in peers {
            let paths = [try await peer.show("half"), try await peer.show("twin")]
            let written = try LocalFile(paths[0])
            for block in stride(from: 0, to: Self.dataBytes / Self.block, by: 2) {
                try written.write(block: block)
            }
            try written.sync()
            let files = try paths.map {
                try LocalFile($0, isReadOnly: true, isDirect: peer.readsDirectly)
            }
            let count = Self.dataBytes / sizeBytes
            let order = isRandom ? Self.order(count) : Array(0..<count)
            for file in files {
                _ = try file.read(sizeBytes: sizeBytes, order: order, seconds: 0.1)
            }
            try await addHalf(
                item, peer.peer.rawValue + ", local", note: peer.readsDirectly ? "O_DIRECT" : nil
            ) { index in
                try files[index].read(
                    sizeBytes: sizeBytes, order: order, seconds: settings.seconds)
            }
        }
    }

    /// The file that is half overwritten beside its twin, in turns.
    private func addHalf(
        _ item: RedirectCase, _ side: String, note: String? = nil,
        _ body: (_ index: Int) async throws -> Double
    ) async throws {
        var speeds: [[Double]] = [[], []]
        for _ in 0..<settings.rounds {
            for index in 0..<2 { speeds[index].append(try await body(index)) }
        }
        let samples = Samples(speeds[0])
        let twin = Samples(speeds[1])
        let about = "its twin: \(Table.figure(twin.median))" + (note.map { "; \($0)" } ?? "")
        report.add(
            Measured(
                section: report.section, name: item.name, side: side, unit: "MB/s",
                samples: samples, ratio: samples.median / twin.median, note: about))
    }

    private func rename(_ item: RedirectCase) async throws {
        let found = try await inTurns { server, round in
            var times: [Double] = []
            for sample in 0..<Self.samplesOfRound {
                let load = Load(
                    operation: .rename, inFlight: 1, file: "directory",
                    first: round * Self.samplesOfRound + sample)
                times.append(try await load.run(on: server, calls: 1).milliseconds)
            }
            return times
        }
        let ratio = add(item, "ms", found, goal: .renameDirectory)
        report.claim(.renameDirectory, item.name, ratio)
        for peer in peers {
            do {
                guard let seconds = try peer.rename("directory.0", to: "renamed") else {
                    add(item, peer, "ms", nil, ratio: nil, note: "a disk, not files")
                    continue
                }
                add(
                    item, peer, "ms", Samples([seconds * 1000]),
                    ratio: seconds * 1000 / found.ganesha.median)
            } catch let error as POSIXError where error.code == .EXDEV {
                add(item, peer, "ms", nil, ratio: nil, note: "EXDEV: it cannot")
            }
        }
    }

    // MARK: Results

    /// Adds what both servers needed or did.
    /// - Returns: the ratio to nfs-ganesha.
    @discardableResult
    private func add(
        _ item: RedirectCase, _ unit: String, _ found: (rowfs: Samples, ganesha: Samples),
        goal: GoalRow
    ) -> Double {
        let ratio = found.rowfs.median / found.ganesha.median
        report.add(
            Measured(
                section: report.section, name: item.name, side: "rowfs", unit: unit,
                samples: found.rowfs, ratio: ratio, goal: goal.goal))
        report.add(
            Measured(
                section: report.section, name: item.name, side: "ganesha", unit: unit,
                samples: found.ganesha, ratio: 1))
        return ratio
    }

    private func add(
        _ item: RedirectCase, _ peer: any LocalPeer, _ unit: String, _ samples: Samples?,
        ratio: Double?, note: String? = nil
    ) {
        report.add(
            Measured(
                section: report.section, name: item.name, side: peer.peer.rawValue + ", local",
                unit: unit, samples: samples, ratio: ratio, note: note))
    }

    /// Numbers below a power of two in an order that looks random, each once.
    private static func order(_ count: Int) -> [Int] {
        var state = SystemRandomNumberGenerator()
        return Array(0..<count).shuffled(using: &state)
    }
}

extension Load.Result {
    /// Of the only call.
    fileprivate var milliseconds: Double { 1000 / callsPerSecond }
}
