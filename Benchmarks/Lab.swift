import Foundation
import ROWTestKit

/// The servers and files of a section: nfs-ganesha as main, as many proxies as the cases need, and, for
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
    /// A directory with many entries, one in ten of which the session removes while it adds as many.
    private static let merged = "merged"
    static let entryCount = 10_000
    private static let changedCount = entryCount / 10

    /// Measures the cases that a run selects.
    static func measure(
        _ cases: [WholePathCase], _ settings: Settings, into report: Report
    ) async throws {
        let chosen = cases.filter { settings.selects($0.name) }
        guard !chosen.isEmpty else { return }
        let lab = try await Lab(fileBytes: settings.fileBytes, cases: chosen)
        for item in chosen {
            let comparison = try await lab.measure(item, settings, report)
            report.add(comparison)
            if let row = item.row { report.claim(row, item.name, comparison.ratio) }
            if let row = item.processorRow {
                report.claim(
                    row, item.name, comparison.rowfs.serverMicrosecondsPerCall.median)
            }
        }
        try await lab.stop()
    }

    /// Makes what the cases need, and starts it.
    private init(fileBytes: Int, cases: [WholePathCase]) async throws {
        self.fileBytes = fileBytes
        folder = try TemporaryDirectory("rowfs-bench")
        note("making files and starting servers in \(folder.path)")
        let image = try folder.directory("image")
        try TestFile.make("\(image)/\(Self.file)", bytes: fileBytes, seed: 1)
        if cases.contains(where: \.isLarge) {
            try TestFile.make("\(image)/\(Self.largeFile)", bytes: Self.largeFileBytes, seed: 2)
        }
        for number in 0..<Self.otherEntryCount { _ = try folder.file("image/entry.\(number)", "") }
        if cases.contains(where: \.isMerged) { try Self.makeEntries(in: folder) }
        main = try await Ganesha.start(directory: image)
        if cases.contains(where: \.changes) {
            let copy = try folder.directory("copy")
            try TestFile.make("\(copy)/\(Self.file)", bytes: fileBytes, seed: 1)
            writable = try await Ganesha.start(directory: copy, readOnly: false)
        } else {
            writable = nil
        }
        for route in Set(cases.map(\.route)) { proxies[route] = try await start(route) }
        if let proxy = proxies[.shadow] { try await overwrite(on: Server(proxy)) }
        for route in Set(cases.filter(\.isMerged).map(\.route)) {
            if let proxy = proxies[route] { try await Self.changeEntries(on: Server(proxy)) }
        }
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

    private func stop() async throws {
        for proxy in proxies.values { try await proxy.terminate() }
        try await main.stop()
        try await writable?.stop()
    }

    /// Makes the load on both sides in turns.
    private func measure(
        _ item: WholePathCase, _ settings: Settings, _ report: Report
    ) async throws -> Comparison {
        guard let proxy = proxies[item.route] else { preconditionFailure("not one of the cases") }
        let sides = [
            (server: Server(proxy), load: load(item, isSession: true)),
            (
                server: Server(item.changes ? writable ?? main : main),
                load: load(item, isSession: false)
            ),
        ]
        for side in sides { try await warmUp(side.server, side.load) }
        let fileCalls = (item.isLarge ? Self.largeFileBytes : fileBytes) / item.sizeBytes
        var results: [[Load.Result]] = [[], []]
        for _ in 0..<settings.rounds {
            for (index, side) in sides.enumerated() {
                var load = side.load
                // Comparing takes time that the driver does not have: that was the warm-up's.
                if load.operation == .read { load.localCopy = nil }
                if item.route == .cold {
                    let server = index == 0 ? Server(try await startCold()) : side.server
                    results[index].append(try await load.run(on: server, calls: fileCalls))
                } else {
                    results[index].append(
                        try await load.run(on: side.server, seconds: settings.seconds))
                }
            }
        }
        return Comparison(
            section: report.section, name: item.name, measure: item.measure, rowfs: results[0],
            ganesha: results[1], goal: item.row?.goal)
    }

    // MARK: Loads

    private func load(_ item: WholePathCase, isSession: Bool) -> Load {
        let file = item.isMerged ? Self.merged : item.isLarge ? Self.largeFile : Self.file
        let isOverwritten = item.operation == .write || (isSession && item.route == .shadow)
        return Load(
            operation: item.operation, sizeBytes: item.sizeBytes, inFlight: item.inFlight,
            file: file,
            localCopy: item.measure != .bytes
                ? nil : isOverwritten ? newContent : folder.path("image/\(file)"),
            // With . and ..
            isRandom: item.isRandom, entries: item.isMerged ? Self.entryCount + 2 : nil,
            client: item.client)
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

    // MARK: The merged directory

    private static func makeEntries(in folder: TemporaryDirectory) throws {
        _ = try folder.directory("image/\(merged)")
        for number in 0..<entryCount {
            let name = number % 10 == 0 ? "gone.\(number / 10)" : "entry.\(number)"
            _ = try folder.file("image/\(merged)/\(name)", "")
        }
    }

    private static func changeEntries(on server: Server) async throws {
        for (operation, file) in [(Load.Operation.remove, "gone"), (.create, "new")] {
            try await Load(operation: operation, inFlight: 8, file: file)
                .run(on: server.directory(merged), calls: changedCount)
        }
    }
}
