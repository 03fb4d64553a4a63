/// A lease on an image that is in use.
public struct LeaseStatus: Encodable, Sendable, Equatable {
    /// The appliance, with its version.
    public var image: String
    /// Seconds since 1970 at which it was renewed last, and at which it runs out; absent when it was never had.
    public var renewed: Double?
    public var expires: Double?
    /// Why it was not renewed when that was tried last.
    public var lastError: String?

    enum CodingKeys: String, CodingKey {
        case image, renewed, expires
        case lastError = "last_error"
    }

    public init(image: String) { self.image = image }

    /// One for each image, in their order: the one that runs out first, with an error if any has one.
    static func byImage(_ leases: [LeaseStatus]) -> [LeaseStatus] {
        let images = Dictionary(grouping: leases, by: \.image)
        return images.sorted { $0.key < $1.key }.compactMap { _, leases in
            guard var first = leases.min(by: { ($0.expires ?? 0) < ($1.expires ?? 0) }) else {
                return nil
            }
            if first.lastError == nil {
                first.lastError = leases.lazy.compactMap(\.lastError).first
            }
            return first
        }
    }

    /// It has been renewed.
    /// - Parameter period: seconds for which it is good.
    public mutating func renew(at time: Double, period: Double) {
        renewed = time
        expires = time + period
        lastError = nil
    }
}
