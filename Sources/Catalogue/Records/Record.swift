/// What a publisher says of a version, or a client of itself. Times are Unix seconds.
struct Record: Hashable, Sendable {
    enum Body: Hashable, Sendable {
        /// A version: its place among the others, and what it is.
        /// - Parameter leasePeriod: seconds for which clients lease it.
        /// - Parameter manifestRoot: 32 bytes, a SHA-256.
        case version(sequence: UInt64, leasePeriod: UInt32, manifestRoot: [UInt8]?)
        /// A server that holds it: an `nfs://` URL.
        case location(url: String)
        /// One user of it.
        /// - Parameter holder: a random number, so that one client may have several leases.
        case lease(holder: UInt64)
    }

    /// What it is about. Of several records for the same subject one counts.
    enum Subject: Hashable, Sendable {
        case version(String)
        case location(String)
        case lease(KeyFingerprint, holder: UInt64)
    }

    var appliance: Appliance
    var version: String
    var issued: Int64
    var expires: Int64
    /// Retired, withdrawn or released, according to its kind.
    var isOver = false
    var body: Body

    /// Where it belongs.
    var key: CatalogueKey {
        switch body {
        case .version: .versions(of: appliance)
        case .location: .locations(of: version, appliance)
        case .lease: .leases(of: version, appliance)
        }
    }

    var sequence: UInt64 {
        if case .version(let sequence, _, _) = body { return sequence }
        return 0
    }

    /// The most seconds that one may be valid for.
    var lifeMaximum: Int64 {
        if case .lease = body { return Self.leasePeriodMaximum }
        return Self.lifeMaximum
    }

    static let lifeMaximum: Int64 = 10 * 365 * 86_400
    static let leasePeriodMaximum: Int64 = 86_400
    static let urlSizeMaximum = 1400
    static let manifestRootSize = 32
}

extension Record {
    /// Whether it counts rather than another of the same subject: it is the newer one, and what ends
    /// something wins over what was said in the same second.
    func counts(before other: Record) -> Bool {
        (sequence, issued, isOver ? 1 : 0) > (other.sequence, other.issued, other.isOver ? 1 : 0)
    }
}
