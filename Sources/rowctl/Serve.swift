import ArgumentParser
import Foundation
import Glibc
import NFSClient
import ROWProxy

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a session of an image to NFS clients, in the foreground.",
        discussion: """
            Prints the command that mounts the session, then runs until SIGTERM, SIGINT or SIGHUP, \
            which make everything durable first. A session that exists is continued. Where a \
            process serves the image already (same --state), the session is added to it, and goes \
            on here when that ends.

            With --read-only it is a gateway: an image for other proxies, at a site whose main is \
            far away. What one of them asked for the others get from here. Give the gateway's URL, \
            nfs://GATEWAY:PORT/NAME?mountport=PORT, as their image, and --listen with a fixed port. \
            Handles and file numbers stay the same when it is started again, so those proxies go on.
            """)

    @Argument(help: MainOptions.imageHelp)
    var image: String

    @Option(help: "The session's name; it is made when there is none.")
    var session: String

    @Option(
        help: ArgumentHelp(
            "What acknowledged changes survive.",
            discussion: "strict: a power failure; relaxed: the end of the process."))
    var durability = Proxy.Durability.strict

    @Flag(
        help: ArgumentHelp(
            "Refuse all changes: an image for other proxies.",
            discussion: """
                A session that has changes shows them, and must not get others while proxies use it: \
                take a new name. Root of other machines needs --root keep to read everything.
                """))
    var readOnly = false

    @OptionGroup var main: MainOptions

    @OptionGroup var shadow: ShadowOption

    @OptionGroup var cache: CacheOption

    @OptionGroup var profiles: ProfileOptions

    @OptionGroup var network: NetworkOptions

    @OptionGroup var catalogue: CatalogueOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        try await ApplianceImage.with(
            image, session: session, catalogue: catalogue, state: state, run)
    }

    private func run(_ chosen: ApplianceImage.Chosen) async throws {
        var configuration = Proxy.Configuration(
            image: chosen.image, session: session, state: state.directory)
        configuration.manifestRoot = chosen.manifestRoot
        network.apply(to: &configuration)
        configuration.isReadOnly = readOnly
        main.apply(to: &configuration)
        configuration.durability = durability
        configuration.shadow = try shadow.parsed
        cache.apply(to: &configuration)
        configuration.record = profiles.recordPath
        configuration.profile = profiles.profilePath
        try await serve(configuration, chosen.use)
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

/// Serves a session until a signal asks to end (a second one does not wait for that): in this process,
/// or in the one that serves the image already for as long as that runs, and then here, where its
/// clients know it to be.
private func serve(
    _ configuration: Proxy.Configuration, _ use: ApplianceImage.Use? = nil
) async throws {
    enum Event {
        case askedToEnd
        case hostEnded
        case timeToTry
    }
    let (events, continuation) = AsyncStream<Event>.makeStream()
    var next = events.makeAsyncIterator()
    // Whoever reads what this prints may leave before it ends.
    signal(SIGPIPE, SIG_IGN)
    let signals = Signals.toEnd { continuation.yield(.askedToEnd) }
    defer { withExtendedLifetime(signals) {} }
    var configuration = configuration
    var serving: Proxy.Serving? = try await Proxy.serve(configuration)
    var complaint = ""
    while true {
        switch serving {
        case .host(let proxy):
            use?.attach(proxy)
            announce(proxy.mountCommand)
            while let event = await next.next(), event != .askedToEnd {}
            use?.detach()
            try await proxy.stop()
            return
        case .guest(let membership):
            announce(membership.mountCommand)
            Task {
                await membership.ended()
                continuation.yield(.hostEnded)
            }
            if await next.next() == .askedToEnd {
                try await membership.leave()
                return
            }
            configuration.succeed(membership)
            serving = nil
        case nil:
            // Clients wait for this session: whatever is in the way, such as a main that is away, is
            // no reason to give up.
            do {
                serving = try await Proxy.serve(configuration)
            } catch {
                if "\(error)" != complaint {
                    complaint = "\(error)"
                    FileHandle.standardError.write(
                        Data("rowctl: not served now, trying again: \(complaint)\n".utf8))
                }
                Task {
                    try? await Task.sleep(for: .seconds(1))
                    continuation.yield(.timeToTry)
                }
                if await next.next() == .askedToEnd { return }
            }
        }
    }
}

private func announce(_ mountCommand: String) {
    print("ready: \(mountCommand)")
    flushStandardOutput()
}
