public import ROWProxy

/// How a process that serves images stands: what the page shows, and what `/status.json` is. The keys are an interface
/// for other programs and stay.
public struct ServiceStatus: Encodable, Sendable {
    /// Of rowctl.
    public var version: String
    public var processID: Int32
    /// The machine's.
    public var host: String
    /// When it was looked at, in seconds since 1970.
    public var time: Double
    public var process: ProcessStatus
    public var disk: Disk?
    /// One for each image, by name.
    public var images: [ImageStatus]
    /// Images whose event loop does not answer; nothing is told of them.
    public var silentImages: Int
    public var leases: [LeaseStatus]

    /// What the state directory lies on.
    public struct Disk: Encodable, Sendable {
        public var path: String
        public var sizeBytes: UInt64
        /// That the process may still use.
        public var availableBytes: UInt64

        enum CodingKeys: String, CodingKey {
            case path
            case sizeBytes = "size_bytes"
            case availableBytes = "available_bytes"
        }
    }

    enum CodingKeys: String, CodingKey {
        case version, host, time, process, disk, images, leases
        case processID = "process_id"
        case silentImages = "silent_images"
    }

    /// Whether everything that is served answers.
    public var isHealthy: Bool { silentImages == 0 }
}
