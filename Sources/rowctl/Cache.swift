import ArgumentParser
import Console
import Foundation
import Glibc
import ROWProxy
import Synchronization

struct Cache: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look after what is kept of an image on this machine.",
        discussion: """
            Blocks of an image on a server are kept in the state directory once they have been \
            fetched, for all its sessions. These verbs work whether or not the image is served now.
            """,
        subcommands: [
            CacheList.self, CacheStatus.self, CacheVerify.self, CacheDrop.self, CachePin.self,
        ])
}

/// Which image; the verbs for what is kept of one take it.
struct ImageOptions: ParsableArguments {
    @Argument(
        help: """
            nfs://host[:port]/export[?mountport=N] or appliance://NAME@KEY/VERSION, as it was served.
            """)
    var image: String

    @OptionGroup var tls: TLSOptions

    @OptionGroup var state: StateOption

    /// Has something done to the image.
    /// - Parameter isShown: how far it is, on a terminal.
    /// - Returns: what it came to.
    func carryOut(
        _ task: ImageTask, cacheSize: ByteSize? = nil, isShown: Bool = false,
        report: @escaping @Sendable (ImageReport) -> Void = { _ in }
    ) async throws -> ImageReport {
        var configuration = Proxy.Configuration(
            image: ApplianceImage.isOne(image)
                ? try ApplianceImage.known(image, state.directory) : try .parse(image),
            session: "none", state: state.directory)
        configuration.tls = tls.files
        if let cacheSize { configuration.cacheSize = cacheSize }
        let last = Mutex<ImageReport?>(nil)
        let meter = ProgressMeter()
        defer { meter.end() }
        try await Proxy.carryOut(task, configuration) { new in
            if isShown { meter.show(ProgressState(new)) }
            if new.listed == nil { last.withLock { $0 = new } }
            report(new)
        }
        return last.withLock { $0 } ?? ImageReport()
    }
}

/// Paths in an image, as ``ImageTask`` takes them.
private func imagePaths(_ paths: [String]) -> [String] {
    paths.map { $0.split(separator: "/").joined(separator: "/") }
}

extension ProgressState {
    fileprivate init(_ report: ImageReport) {
        let fetched = report.fetched > 0 ? ", \(byteText(Int(report.fetched))) fetched" : ""
        self.init(
            done: report.bytes, total: report.bytesTotal,
            details: "\(report.files) files, \(byteText(Int(report.bytes)))\(fetched)")
    }
}

struct CacheList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the files of which something is kept.")

    @OptionGroup var options: ImageOptions

    @Flag(help: "As lines of JSON, whose keys are stable.")
    var json = false

    func run() async throws {
        let files = Mutex<[ImageReport.File]>([])
        _ = try await options.carryOut(.list) { report in
            files.withLock { $0 += report.listed ?? [] }
        }
        let sorted = files.withLock(\.self).sorted { $0.path < $1.path }
        if json {
            for file in sorted { print(try jsonText(file, isPretty: false)) }
            return
        }
        var table = Table([
            ("KEPT", .right), ("SIZE", .right), ("", .left), ("FILE", .left),
        ])
        for file in sorted {
            table.add(
                byteText(Int(file.kept)), byteText(Int(file.size)), file.isPinned ? "pinned" : "",
                "/" + file.path.printable)
        }
        print(table.text)
    }
}

struct CacheStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat", abstract: "Tell how much is kept.")

    @OptionGroup var options: ImageOptions

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    private struct Status: Codable {
        var files: Int
        var bytes: UInt64
        var pinned: Int
    }

    func run() async throws {
        let pinned = Mutex(0)
        let sum = try await options.carryOut(.list) { report in
            pinned.withLock { $0 += report.listed?.count(where: \.isPinned) ?? 0 }
        }
        let status = Status(
            files: sum.files, bytes: sum.bytes, pinned: pinned.withLock(\.self))
        if json { return print(try jsonText(status)) }
        print("\(status.files) files, \(byteText(Int(status.bytes))), \(status.pinned) pinned")
    }
}

struct CacheVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read and check all that is kept.",
        discussion: """
            What is damaged is given up, and fetched again when it is needed. Exit codes: 0 all was \
            intact, 1 something was damaged.
            """)

    @OptionGroup var options: ImageOptions

    func run() async throws {
        let sum = try await options.carryOut(.verify, isShown: true)
        print("\(sum.files) files, \(byteText(Int(sum.bytes))) checked, \(sum.damaged) damaged")
        if sum.damaged > 0 { throw ExitCode.failure }
    }
}

struct CacheDrop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Give up blocks that are kept.",
        discussion: """
            Only blocks: names, attributes and ids, on which sessions stand, stay. What clients need \
            again is fetched again.
            """)

    @OptionGroup var options: ImageOptions

    @Argument(help: "Files, or directories with all below them; none for all.")
    var paths: [String] = []

    func run() async throws {
        let sum = try await options.carryOut(
            .drop(paths: imagePaths(paths.isEmpty ? ["/"] : paths)))
        print("\(sum.files) files, \(byteText(Int(sum.bytes))) given up")
    }
}

struct CachePin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Fetch files and never give them up for others.")

    @OptionGroup var options: ImageOptions

    @Argument(help: "Files, or directories with all below them.")
    var paths: [String]

    @Flag(help: "Let them be given up again.")
    var remove = false

    func run() async throws {
        let paths = imagePaths(paths)
        if remove {
            let sum = try await options.carryOut(.unpin(paths: paths))
            print("\(sum.files) files may be given up again")
            return
        }
        try await fetch(.pin(paths: paths), options, nil)
    }
}

struct Prefetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch files of an image before they are needed.",
        discussion: """
            Into what is kept of the image on this machine; what is there already is not fetched, so \
            that the same command goes on where an earlier one was cut off.
            """)

    @OptionGroup var options: ImageOptions

    @Argument(help: "Files, or directories with all below them.")
    var paths: [String] = []

    @Flag(help: "The whole image.")
    var all = false

    @Option(help: ArgumentHelp("The most to fetch in a second, such as 5M.", valueName: "bytes"))
    var rate: ByteSize?

    @OptionGroup var cache: CacheOption

    func validate() throws {
        if all == !paths.isEmpty {
            throw ValidationError("give paths in the image, or --all for all of it")
        }
        if rate?.bytes == 0 { throw ValidationError("--rate 0 would fetch nothing") }
    }

    func run() async throws {
        try await fetch(
            .prefetch(
                paths: imagePaths(all ? ["/"] : paths), bytesPerSecond: rate?.bytes),
            options, cache.size)
    }
}

private func fetch(
    _ task: ImageTask, _ options: ImageOptions, _ cacheSize: ByteSize?
) async throws {
    let sum = try await options.carryOut(task, cacheSize: cacheSize, isShown: true)
    let text =
        "\(sum.files) files, \(byteText(Int(sum.bytes))) here, "
        + "\(byteText(Int(sum.fetched))) fetched"
    guard sum.failures > 0 else { return print(text) }
    print("\(text); \(sum.failures) pieces did not come or could not be kept: run it again")
    throw ExitCode.failure
}
