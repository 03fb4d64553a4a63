import ArgumentParser
import Foundation
import Glibc
import Logging
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

            With --config it serves all images and sessions that a file names, and only --set, \
            --state, --catalogue, --http, --log-format and --log-level go with it. SIGHUP has it read \
            the file again: what has changed \
            is served anew, all else goes on. 'rowctl config' explains the file.
            """)

    @Argument(help: MainOptions.imageHelp)
    var image: String?

    @Option(help: "The session's name; it is made when there is none.")
    var session: String?

    @OptionGroup var settings: SettingsOptions

    @Option(
        help: ArgumentHelp(
            "What acknowledged changes survive.",
            discussion: "strict (default): a power failure; relaxed: the end of the process."))
    var durability: Proxy.Durability?

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

    @OptionGroup var status: StatusOption

    @OptionGroup var log: LogOptions

    @OptionGroup var state: StateOption

    func validate() throws {
        if settings.file != nil {
            guard image == nil, session == nil else {
                throw ValidationError("the file of --config names the images and sessions")
            }
            if let other = settingsOfOne.first {
                throw ValidationError("with --config, \(other) is set in the file, or by --set")
            }
        } else {
            guard settings.set.values.isEmpty else { throw ValidationError("--set needs --config") }
            guard image != nil else {
                throw ValidationError("name an <image>, or a file with --config")
            }
            guard session != nil else {
                throw ValidationError("name the session with --session")
            }
        }
    }

    /// What was given that is one image's or session's.
    private var settingsOfOne: [String] {
        let given = [
            ("--durability", durability != nil), ("--read-only", readOnly),
            ("--main-timeout", main.timeoutSeconds != nil), ("--shadow", shadow.url != nil),
            ("--cache-size", cache.size != nil), ("--record", profiles.record != nil),
            ("--profile", profiles.profile != nil), ("--listen", network.listen != nil),
            ("--allow", !network.allow.isEmpty), ("--root", network.rootAccess != nil),
            ("--manage-gids", network.manageGids), ("--portmap", network.portmap != nil),
            ("--register", network.register), ("--require-tls", network.requiresTLS),
            ("--tls-cert", main.tls.certificate != nil), ("--tls-key", main.tls.key != nil),
            ("--tls-ca", main.tls.authorities != nil),
        ]
        return given.filter(\.1).map(\.0)
    }

    func run() async throws {
        if let file = settings.file {
            return try await Service.run(
                file, settings, catalogue: catalogue, http: status.address, log: log, state: state)
        }
        guard let image, let session else { return }
        try log.start()
        try await ApplianceImage.with(image, session: session, catalogue: catalogue, state: state) {
            try await run($0, session)
        }
    }

    private func run(_ chosen: ApplianceImage.Chosen, _ session: String) async throws {
        var configuration = Proxy.Configuration(
            image: chosen.image, session: session, state: state.directory)
        configuration.manifestRoot = chosen.manifestRoot
        network.apply(to: &configuration)
        configuration.isReadOnly = readOnly
        main.apply(to: &configuration)
        configuration.durability = durability ?? .strict
        configuration.shadow = try shadow.parsed
        cache.apply(to: &configuration)
        configuration.record = profiles.recordPath
        configuration.profile = profiles.profilePath
        try await serve(configuration, chosen.use, http: status.address)
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

    @OptionGroup var tls: TLSOptions

    @OptionGroup var log: LogOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        try log.start()
        var configuration = Proxy.Configuration(
            image: try .parse(directory), session: name, state: state.directory)
        guard case .directory = configuration.image else {
            throw UsageError(description: "'\(directory)' is not a directory of this machine")
        }
        network.apply(to: &configuration)
        configuration.tls = tls.files
        configuration.isReadOnly = true
        try await serve(configuration)
    }
}

/// Serves a session until a signal asks to end; a second one does not wait for that.
private func serve(
    _ configuration: Proxy.Configuration, _ use: ApplianceImage.Use? = nil,
    http: ListenAddress? = nil
) async throws {
    // Whoever reads what this prints may leave before it ends.
    signal(SIGPIPE, SIG_IGN)
    raiseDescriptorLimit()
    let log = Logger(image: configuration.image.canonicalName, session: configuration.session)
    var configuration = configuration
    configuration.onEvent = log.proxyEvents
    let session = ServedSession()
    let signals = Signals.toEnd { session.askToEnd() }
    defer { withExtendedLifetime(signals) {} }
    try await StatusHTTP.show(at: http, of: configuration.state, by: { [session] }) {
        try await session.run(
            configuration, use,
            announce: {
                log.info("served")
                announceReady($0)
            },
            complain: { log.warning("not served now, trying again", metadata: ["error": "\($0)"]) })
    }
}

/// Tells people and programs that a session is served.
func announceReady(_ mountCommand: String) {
    print("ready: \(mountCommand)")
    flushStandardOutput()
}
