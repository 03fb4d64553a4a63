import GRDB

/// What was published from this state directory.
public struct Publication: Sendable, Hashable {
    public let appliance: Appliance
    public let version: String
    /// Its place among the versions of the appliance; higher is newer.
    public let sequence: UInt64
    /// 32 bytes, a SHA-256.
    public let manifestRoot: [UInt8]?
    /// Seconds for which clients lease it.
    public let leasePeriod: Int64
    /// Seconds for which its records are signed at a time.
    public let life: Int64
    public let keyFile: String
    /// A directory of this machine that has the image, to be removed when it is collected.
    public let tree: String?
    public internal(set) var isRetired = false
    /// Nothing is left of it but its tombstone.
    public internal(set) var isCollected = false
}

extension Publication {
    init(row: Row) throws {
        let reference = try ApplianceReference(parsing: row["appliance"])
        self.init(
            appliance: reference.appliance, version: row["version"], sequence: row["sequence"],
            manifestRoot: [UInt8].fromBlob(row["manifestRoot"]), leasePeriod: row["leasePeriod"],
            life: row["life"], keyFile: row["keyFile"], tree: row["tree"],
            isRetired: row["isRetired"], isCollected: row["isCollected"])
    }
}
