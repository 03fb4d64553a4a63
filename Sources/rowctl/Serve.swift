import ArgumentParser
import Glibc
import NFSClient
import ROWProxy

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a session of an image to NFS clients, in the foreground.",
        discussion: """
            Prints the command that mounts the session, then runs until SIGTERM or SIGINT, which \
            make everything durable first. A session that exists is continued.
            """)

    @Argument(
        help: "nfs://host[:port]/export[?mountport=N], or a directory of this machine.")
    var image: String

    @Option(help: "The session's name; it is made when there is none.")
    var session: String

    @Option(
        help: ArgumentHelp(
            "What acknowledged changes survive.",
            discussion: "strict: a power failure; relaxed: the end of the process."))
    var durability = Proxy.Durability.strict

    @OptionGroup var network: NetworkOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        var configuration = Proxy.Configuration(
            image: try .parse(image), session: session, state: state.directory)
        network.apply(to: &configuration)
        configuration.durability = durability
        try await serve(configuration)
    }
}

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Export a directory of this machine read-only, as an image for other proxies.")

    @Argument(help: "The directory.")
    var directory: String

    @Option(help: "The name under which clients mount it: HOST:/NAME.")
    var name = "export"

    @OptionGroup var network: NetworkOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        var configuration = Proxy.Configuration(
            image: try .parse(directory), session: name, state: state.directory)
        guard case .directory = configuration.image else {
            throw UsageError(description: "'\(directory)' is not a directory of this machine")
        }
        network.apply(to: &configuration)
        configuration.isReadOnly = true
        try await serve(configuration)
    }
}

/// Runs a proxy until a signal asks it to end.
private func serve(_ configuration: Proxy.Configuration) async throws {
    let signals = Signals([SIGTERM, SIGINT])
    let proxy = try await Proxy.start(configuration)
    print("ready: \(proxy.mountCommand)")
    flushStandardOutput()
    await signals.next()
    try await proxy.stop()
}
