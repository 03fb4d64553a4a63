import Crypto

/// Where records are: one row of one of the catalogue's three tables.
struct CatalogueKey: Hashable, Sendable {
    enum Table: String, Sendable {
        /// appliance → its versions
        case versions
        /// (appliance, version) → servers that hold it
        case locations
        /// (appliance, version) → clients that use it
        case leases
    }

    let table: Table
    let appliance: Appliance
    /// Empty for the table of versions.
    let version: String

    private init(_ table: Table, _ appliance: Appliance, _ version: String) {
        self.table = table
        self.appliance = appliance
        self.version = version
    }

    static func versions(of appliance: Appliance) -> CatalogueKey {
        CatalogueKey(.versions, appliance, "")
    }

    static func locations(of version: String, _ appliance: Appliance) -> CatalogueKey {
        CatalogueKey(.locations, appliance, version)
    }

    static func leases(of version: String, _ appliance: Appliance) -> CatalogueKey {
        CatalogueKey(.leases, appliance, version)
    }

    /// 20 bytes that a store files it under.
    var digest: [UInt8] {
        // No part can contain a slash.
        let text = "rowfs catalogue 1/\(table.rawValue)/\(appliance)/\(version)"
        return Array(SHA256.hash(data: Array(text.utf8)).prefix(20))
    }

    /// How many different things it may hold. More than that is a flood, or nothing that we can manage.
    var subjectsMaximum: Int {
        switch table {
        case .versions: 1024
        case .locations: 64
        case .leases: 16_384
        }
    }
}
