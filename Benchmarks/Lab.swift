import Foundation
import ROWTestKit

/// The servers and files of a run: nfs-ganesha as main, as many proxies as the cases need, and, for
/// what changes files, another nfs-ganesha with a copy that may be changed.
final class Lab {
    private let folder: TemporaryDirectory
    private let fileBytes: Int
    private let main: Ganesha
    private let writable: Ganesha?
    private var proxies: [WholePathCase.Route: RowctlProcess] = [:]

    private static let file = "data"
    private static let largeFile = "large"
    private static let largeFileBytes = 1 << 30
    private static let otherEntryCount = 200

    /// Makes what the cases need, and starts it.
    init(fileBytes: Int, cases: [WholePathCase]) async throws {
        self.fileBytes = fileBytes
        folder = try TemporaryDirectory("rowfs-bench")
        note("making files and starting servers in \(folder.path)")
        let image = try folder.directory("image")
        try TestFile.make("\(image)/\(Self.file)", bytes: fileBytes, seed: 1)
        if cases.contains(where: \.isLarge) {
            try TestFile.make("\(image)/\(Self.largeFile)", bytes: Self.largeFileBytes, seed: 2)
        }
        for number in 0..<Self.otherEntryCount { _ = try folder.file("image/entry.\(number)", "") }
        main = try await Ganesha.start(directory: image)
        if cases.contains(where: \.changes) {
            let copy = try folder.directory("copy")
            try TestFile.make("\(copy)/\(Self.file)", bytes: fileBytes, seed: 1)
            writable = try await Ganesha.start(directory: copy, readOnly: false)
        } else {
            writable = nil
        }
        for route in Set(cases.map(\.route)) { proxies[route] = try await start(route) }
        if let proxy = proxies[.shadow] { try await overwrite(on: Self.server(proxy)) }
    }

    private func start(_ route: WholePathCase.Route) async throws -> RowctlProcess {
        try await RowctlProcess.start(
            [
                "serve", route == .directory ? folder.path("image") : main.export.url, "--session",
                "bench", "--state", folder.path(route.rawValue),
            ] + (route == .passThrough ? ["--cache-size", "0"] : []))
    }

    /// Serves the image as if for the first time.
    private func startCold() async throws -> RowctlProcess {
        try await proxies[.cold]?.terminate()
        try FileManager.default.removeItem(atPath: folder.path(WholePathCase.Route.cold.rawValue))
        let proxy = try await start(.cold)
        proxies[.cold] = proxy
        return proxy
    }

    func stop() async throws {
        for proxy in proxies.values { try await proxy.terminate() }
        try await main.stop()
        try await writable?.stop()
    }

    /// Makes the load on both sides in turns.
    func measure(
        _ item: WholePathCase, rounds: Int, seconds: Double
    ) async throws -> Report.Comparison {
        guard let proxy = proxies[item.route] else { preconditionFailure("not one of the cases") }
        let rival = item.changes ? writable ?? main : main
        let sides = [
            (server: Self.server(proxy), load: load(item, isSession: true)),
            (
                server: Server(export: rival.export, processID: rival.processID),
                load: load(item, isSession: false)
            ),
        ]
        for side in sides { try await warmUp(side.server, side.load) }
        let fileCalls = (item.isLarge ? Self.largeFileBytes : fileBytes) / item.sizeBytes
        var results: [[Load.Result]] = [[], []]
        for _ in 0..<rounds {
            for (index, side) in sides.enumerated() {
                var load = side.load
                // Comparing takes time that the driver does not have: that was the warm-up's.
                if load.operation == .read { load.localCopy = nil }
                if item.route == .cold {
                    let server = index == 0 ? Self.server(try await startCold()) : side.server
                    results[index].append(try await load.run(on: server, calls: fileCalls))
                } else {
                    results[index].append(try await load.run(on: side.server, seconds: seconds))
                }
            }
        }
        return Report.Comparison(
            name: item.name, movesData: item.movesData, rowfs: Report.Comparison.Side(results[0]),
            ganesha: Report.Comparison.Side(results[1]),
            ratioOfRounds: Samples(
                zip(results[0], results[1]).map { $0.callsPerSecond / $1.callsPerSecond }),
            goal: item.goal)
    }

    // MARK: Loads

    private func load(_ item: WholePathCase, isSession: Bool) -> Load {
        let file = item.isLarge ? Self.largeFile : Self.file
        let isOverwritten = item.operation == .write || (isSession && item.route == .shadow)
        return Load(
            operation: item.operation, sizeBytes: item.sizeBytes, inFlight: item.inFlight,
            file: file,
            localCopy: !item.movesData
                ? nil : isOverwritten ? newContent : folder.path("image/\(file)"),
            isRandom: item.isRandom)
    }

    /// Brings the file into the page cache, whatever that has dropped since, and checks what is read.
    private func warmUp(_ server: Server, _ load: Load) async throws {
        if load.operation == .read {
            var all = load
            all.sizeBytes = Self.largeTransfer
            all.inFlight = 8
            all.isRandom = false
            let bytes = load.file == Self.largeFile ? Self.largeFileBytes : fileBytes
            try await all.run(on: server, calls: bytes / all.sizeBytes)
        }
        _ = try await load.run(on: server, seconds: 0.1)
    }

    private static let largeTransfer = 1 << 20

    /// What the shadow of the file holds in the end, here and in nfs-ganesha's copy.
    private var newContent: String { folder.path("content") }

    /// Writes the whole file in the session.
    private func overwrite(on server: Server) async throws {
        try TestFile.make(newContent, bytes: fileBytes, seed: 3)
        try await Load(
            operation: .write, sizeBytes: Self.largeTransfer, inFlight: 8, file: Self.file,
            localCopy: newContent
        ).run(on: server, calls: fileBytes / Self.largeTransfer)
    }

    private static func server(_ proxy: RowctlProcess) -> Server {
        Server(export: proxy.export, processID: proxy.processID)
    }
}

extension Report.Comparison.Side {
    init(_ results: [Load.Result]) {
        self.init(
            callsPerSecond: Samples(results.map(\.callsPerSecond)),
            megabytesPerSecond: Samples(results.map(\.megabytesPerSecond)),
            serverMicrosecondsPerCall: Samples(results.map(\.serverUsPerCall)),
            p99Microseconds: Samples(results.map(\.p99Us)))
    }
}
