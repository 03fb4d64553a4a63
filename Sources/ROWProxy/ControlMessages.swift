/// What can be asked of the process that serves an image.
enum ControlRequest: Codable, Sendable {
    case status(session: String)
    /// The session is served until the connection that asked ends.
    case join(Proxy.SessionOptions, Network)

    /// Settings that all sessions of a process share; nil or empty where the one who asks leaves them to
    /// the process.
    struct Network: Codable, Sendable {
        var listen: String?
        var allow: [String]
        var root: String?
        var managesGroups: Bool
        var usesPortmap: Bool

        init(_ configuration: Proxy.Configuration) {
            listen = configuration.port == 0 && configuration.host == "127.0.0.1"
                ? nil : "\(configuration.host):\(configuration.port)"
            allow = configuration.allow.map(\.description).sorted()
            root = configuration.rootAccess?.rawValue
            managesGroups = configuration.managesGroups
            usesPortmap = configuration.portmap != nil || configuration.registers
        }

        /// The first setting of another's that this process does not have.
        func conflict(with wanted: Network, port: Int, host: String) -> String? {
            if let address = wanted.listen, address != "\(host):\(port)" {
                return "--listen \(address)"
            }
            if !wanted.allow.isEmpty, wanted.allow != allow { return "--allow" }
            if let root = wanted.root, root != self.root { return "--root \(root)" }
            if wanted.managesGroups, !managesGroups { return "--manage-gids" }
            if wanted.usesPortmap, !usesPortmap { return "--portmap or --register" }
            return nil
        }
    }
}

/// What it answers: one line each.
enum ControlAnswer: Codable, Sendable {
    case status(SessionStatus)
    case joined(Joined)
    /// What was asked cannot be done: why, and what to do.
    case refused(String)

    struct Joined: Codable, Sendable {
        var mountCommand: String
        var host: String
        var port: Int
        var processID: Int32
    }
}
