/// Whether a version may be collected: a plain value. A count of leases is an estimate, so what is not known
/// means that it is kept.
enum CollectionRules {
    /// What was seen of the leases of a version.
    enum Observation: Sendable, Equatable {
        case leased(clients: Int)
        /// None, and all was read.
        case quiet
        case unreadable(String)
        /// None, and all was read of those nodes that answer; they are too few.
        case cutOff(String)

        var mayImprove: Bool {
            if case .cutOff = self { return true }
            return false
        }
    }

    enum Decision: Sendable, Equatable {
        case collect
        case keep(KeepReason)
    }

    static func decide(
        isRetired: Bool, isSuperseded: Bool, _ observation: Observation, quietSince: Int64?,
        leasePeriod: Int64, now: Int64
    ) -> Decision {
        guard isRetired || isSuperseded else { return .keep(.current) }
        switch observation {
        case .leased(let clients): return .keep(.leased(clients: clients))
        case .unreadable(let why), .cutOff(let why): return .keep(.unreadable(why))
        case .quiet:
            let quiet = quietSince.map { max(0, now - $0) } ?? 0
            guard quiet >= 2 * leasePeriod else {
                return .keep(.notQuietForLong(seconds: quiet, needed: 2 * leasePeriod))
            }
            return .collect
        }
    }

    /// - Parameter before: since when it was quiet at the last observation.
    /// - Returns: since when it is quiet now; nil for not.
    static func quietSince(_ before: Int64?, isQuiet: Bool, now: Int64) -> Int64? {
        guard isQuiet else { return nil }
        // A clock that was set back would make the wait end too early or never.
        guard let before, before <= now else { return now }
        return before
    }

    /// What a complete answer of a distributed store is worth when nodes are missing: those may be cut off,
    /// with leases that are only on their side.
    /// - Parameter most: nodes that answered at one time in the last day.
    static func partition(nodes: Int, most: Int) -> String? {
        guard nodes * 2 < most else { return nil }
        return "only \(nodes) of the \(most) nodes that answered within the last day do now"
    }
}

/// Why a version is kept.
public enum KeepReason: Sendable, Equatable, CustomStringConvertible {
    /// It is neither retired nor superseded.
    case current
    case leased(clients: Int)
    /// The catalogue could not be read, or not all of it.
    case unreadable(String)
    /// It has no leases, but that was not seen for long enough.
    case notQuietForLong(seconds: Int64, needed: Int64)
    /// Its records could not be withdrawn, or its tree not removed.
    case failed(String)

    /// One word for programs.
    public var code: String {
        switch self {
        case .current: "current"
        case .leased: "leased"
        case .unreadable: "unreadable"
        case .notQuietForLong: "waiting"
        case .failed: "failed"
        }
    }

    public var description: String {
        switch self {
        case .current: "it is neither retired nor superseded"
        case .leased(let clients): "\(clients) \(clients == 1 ? "client uses" : "clients use") it"
        case .unreadable(let why): "its leases cannot be counted: \(why)"
        case .notQuietForLong(let seconds, let needed):
            "it was without leases for \(seconds) s as far as observed, and must be for \(needed) s"
        case .failed(let why): why
        }
    }
}
