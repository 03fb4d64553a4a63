import ROWCore

/// An appliance: a name, and the key of who may publish it. So the name certifies itself.
public struct Appliance: Hashable, Sendable, CustomStringConvertible {
    /// 1...64 characters, as a session's name.
    public let name: String
    public let key: KeyFingerprint

    /// - Throws: ``CatalogueError/Code/invalid`` for a name that cannot be used.
    public init(name: String, key: KeyFingerprint) throws(CatalogueError) {
        try Self.check(name, "an appliance's name")
        self.name = name
        self.key = key
    }

    /// `NAME@KEY`
    public var description: String { "\(name)@\(key)" }

    /// - Parameter what: what it is to be the name of, for the error.
    static func check(_ name: String, _ what: String) throws(CatalogueError) {
        do { try StateLayout.check(sessionName: name) } catch {
            throw CatalogueError(
                .invalid,
                "'\(name.prefix(80))' cannot be \(what): use 1 to 64 letters, digits, '.', '_' and '-', "
                    + "not starting with '.' or '-'")
        }
    }
}

/// `appliance://NAME@KEY[/VERSION]`: an appliance, or one version of it.
public struct ApplianceReference: Hashable, Sendable, CustomStringConvertible {
    public static let scheme = "appliance://"

    public let appliance: Appliance
    /// Nil for the newest.
    public let version: String?

    /// - Parameter version: 1...64 characters, as a session's name.
    /// - Throws: ``CatalogueError/Code/invalid``.
    public init(_ appliance: Appliance, version: String? = nil) throws(CatalogueError) {
        if let version { try Appliance.check(version, "a version") }
        self.appliance = appliance
        self.version = version
    }

    /// Reads a reference; its scheme may be left out.
    /// - Throws: ``CatalogueError/Code/invalid`` that says which part is wrong.
    public init(parsing text: String) throws(CatalogueError) {
        let rest = text.hasPrefix(Self.scheme) ? text.dropFirst(Self.scheme.count) : text[...]
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "@", omittingEmptySubsequences: false)
        guard names.count == 2 else {
            throw CatalogueError(
                .invalid,
                "'\(text.prefix(200))' is no appliance: write appliance://NAME@KEY[/VERSION], as "
                    + "its publisher tells it")
        }
        guard let key = KeyFingerprint(String(names[1])) else {
            throw CatalogueError(
                .invalid,
                "the key '\(names[1].prefix(80))' of an appliance is not 32 characters of a-z and 2-7"
            )
        }
        try self.init(
            Appliance(name: String(names[0]), key: key),
            version: parts.count == 2 ? String(parts[1]) : nil)
    }

    public var description: String {
        "\(Self.scheme)\(appliance)" + (version.map { "/\($0)" } ?? "")
    }
}
