/// One thing that can be set: where it stands, and what it may be.
public struct Setting: Sendable {
    /// What it belongs to.
    public enum Place: Sendable {
        /// The whole process.
        case process
        /// `images.NAME`.
        case image
        /// `images.NAME.sessions.NAME`.
        case session
    }

    public let name: String
    public let place: Place
    /// It may have several values.
    public let isList: Bool
    /// What holds where nothing is said, for people.
    public let standard: String
    /// For people, one line.
    public let summary: String

    private init(
        _ name: String, _ place: Place, isList: Bool = false, standard: String, _ summary: String
    ) {
        self.name = name
        self.place = place
        self.isList = isList
        self.standard = standard
        self.summary = summary
    }

    static func all(of place: Place) -> [Setting] { all.filter { $0.place == place } }

    public static let all = [
        Setting(
            "state", .process, standard: "/var/lib/rowfs for root, ~/.local/state/rowfs for others",
            "the directory in which images and sessions are kept"),
        Setting(
            "catalogue", .process, standard: "catalogue.sqlite of the state directory",
            "what names appliances: a file, or dht:HOST:PORT[,HOST:PORT...]"),
        Setting(
            "log-format", .process, standard: "text",
            "how messages are written: for people (text), or as a JSON object in each line (json)"),
        Setting(
            "log-level", .process, standard: "notice",
            "the least message that is written: debug, info, notice, warning or error"),
        Setting(
            "tls-cert", .process, standard: "no TLS for clients",
            "the file, in PEM, of this machine's certificate, by which clients know it, and servers"
        ),
        Setting("tls-key", .process, standard: "none", "the file of the certificate's private key"),
        Setting(
            "tls-ca", .process,
            standard: "this machine's, for servers; clients need no certificate",
            "the file of the authorities that vouch for the certificates of servers and clients"),
        Setting(
            "http", .process, standard: "nowhere",
            "where browsers and Prometheus are told how things stand, [ADDRESS:]PORT"),
        Setting(
            "source", .image, isList: true, standard: "none: it must be given",
            "servers that have the image, nfs://HOST/EXPORT, or a directory, or an appliance"),
        Setting(
            "listen", .image, standard: "127.0.0.1:0",
            "where clients come in, ADDRESS:PORT; port 0 picks a free one"),
        Setting(
            "allow", .image, isList: true, standard: "this machine",
            "clients that may come in, ADDRESS or ADDRESS/BITS"),
        Setting(
            "root", .image, standard: "keep on loopback, squash elsewhere",
            "whether a client's root is root (keep) or nobody (squash)"),
        Setting(
            "manage-gids", .image, standard: "no",
            "whether users have the groups that this machine knows, not those that calls name"),
        Setting(
            "portmap", .image, standard: "not answered",
            "where the port mapper's questions are answered, ADDRESS:PORT"),
        Setting(
            "register", .image, standard: "no", "whether to register with this machine's rpcbind"),
        Setting(
            "require-tls", .image, standard: "no",
            "whether clients on other machines must use TLS"),
        Setting(
            "cache-size", .image, standard: "10G",
            "how much of the image is kept on this machine: 512M, 10G; 0 for nothing"),
        Setting(
            "main-timeout", .image, standard: "20",
            "seconds that a call waits for the image's servers"),
        Setting(
            "durability", .session, standard: "strict",
            "what acknowledged changes survive: a power failure (strict), the process's end (relaxed)"
        ),
        Setting(
            "read-only", .session, standard: "no", "whether all changes are refused"),
        Setting(
            "shadow", .session, standard: "the state directory",
            "the export of an NFS server that keeps changed data, nfs://HOST/EXPORT"),
        Setting(
            "record", .session, standard: "none", "the file that gets a profile of what is touched"),
        Setting(
            "profile", .session, standard: "none",
            "the file of a profile that is fetched ahead of clients"),
    ]
}

/// Names a setting of something in particular: `images.golden.cache-size`.
public struct SettingKey: Hashable, Sendable, CustomStringConvertible {
    public let components: [String]

    public init(_ components: [String]) { self.components = components }

    public var description: String { components.joined(separator: ".") }

    static let images = "images"
    static let sessions = "sessions"

    static func image(_ image: String, _ name: String) -> SettingKey {
        SettingKey([images, image, name])
    }

    static func session(_ session: String, of image: String, _ name: String) -> SettingKey {
        SettingKey([images, image, sessions, session, name])
    }
}

extension Setting {
    /// Every setting, for people.
    public static var guide: String {
        let sections = [
            ("At the top:", Place.process), ("Of an image, images.NAME:", .image),
            ("Of a session, images.NAME.sessions.NAME:", .session),
        ]
        return sections.map { title, place in
            let lines = all(of: place).map { "  \($0.name): \($0.summary) (\($0.standard))" }
            return ([title] + lines).joined(separator: "\n")
        }.joined(separator: "\n\n")
    }
}
