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

    /// It has been renewed.
    /// - Parameter period: seconds for which it is good.
    public mutating func renew(at time: Double, period: Double) {
        renewed = time
        expires = time + period
        lastError = nil
    }
}
