/// What is believed of an appliance's versions: what a catalogue offers, and what was seen before. A plain
/// value.
///
/// Who controls a catalogue cannot forge a record, but can leave out new ones. So what was seen once is
/// remembered, and an older version is the newest only when those after it are known to be retired.
struct VersionHistory: Sendable {
    /// Newest first.
    private(set) var offered: [VersionInfo]
    /// Seen before as not retired, and not offered now.
    private let missing: [SeenVersion]

    init(_ records: [Record], seen: [SeenVersion]) {
        let retired = Set(seen.filter(\.isRetired).map(\.version))
        offered = records.compactMap { record in
            guard case .version(let sequence, let leasePeriod, let root) = record.body else {
                return nil
            }
            return VersionInfo(
                version: record.version, sequence: sequence, manifestRoot: root,
                isRetired: record.isOver || retired.contains(record.version),
                issued: record.issued, expires: record.expires, leasePeriod: Int64(leasePeriod))
        }
        offered.sort { ($0.sequence, $0.issued) > ($1.sequence, $1.issued) }
        let versions = Set(offered.map(\.version))
        missing = seen.filter { !$0.isRetired && !versions.contains($0.version) }
    }

    /// The newest version that is not retired.
    var newest: VersionInfo? { offered.first { !$0.isRetired } }

    /// The newest version that was seen before and is newer than what is offered.
    var rolledBackFrom: SeenVersion? {
        let sequence = newest?.sequence ?? 0
        return missing.filter { $0.sequence > sequence }.max { $0.sequence < $1.sequence }
    }

    subscript(version: String) -> VersionInfo? { offered.first { $0.version == version } }

    /// What is to be remembered of it.
    var toRemember: [SeenVersion] {
        offered.map {
            SeenVersion(version: $0.version, sequence: $0.sequence, isRetired: $0.isRetired)
        }
    }
}

/// A version as its publisher describes it. Times are Unix seconds.
public struct VersionInfo: Sendable, Hashable {
    public let version: String
    /// Its place among the versions of the appliance; higher is newer.
    public let sequence: UInt64
    /// 32 bytes, a SHA-256.
    public let manifestRoot: [UInt8]?
    /// Not to be used any more.
    public let isRetired: Bool
    public let issued: Int64
    public let expires: Int64
    /// Seconds for which clients lease it.
    public let leasePeriod: Int64
}
