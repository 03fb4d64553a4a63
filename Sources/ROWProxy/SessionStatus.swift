public import ROWCore

/// What `stat-session` tells of a session. The keys are an interface for other programs and stay.
public struct SessionStatus: Codable, Sendable {
    public var session: String
    public var image: String
    /// `running` or `stopped`.
    public var state: String
    /// `strict` or `relaxed`.
    public var durability: String
    public var uptimeSeconds: Double
    public var calls: Calls
    /// How long calls took, by procedure; nil in files of older versions.
    public var latency: Latencies?
    public var bytes: Bytes
    public var changed: Changed
    /// The files with most stored bytes, largest first; whoever shows a status fills them in.
    public var largest: [StoredFile]? = []
    /// Nodes in memory.
    public var handles: Int
    /// What the process that serves the image has done since it started, for all its sessions; nil in
    /// files of older versions.
    public var syncs: Syncs?
    public var main: [Main]
    /// Main's blocks that are kept on this machine, for all sessions of the image; absent without a cache.
    public var cache: Cache?
    /// What the image is compared with; absent when it has none.
    public var manifest: Manifest?
    /// The server that keeps the changed data; absent when that is in the state directory.
    public var shadow: Main?
    /// The machine whose root it is; absent for other sessions.
    public var machine: Machine?
    /// When its clients were heard last, in seconds since 1970; absent when they were not since it is served.
    public var lastSeen: Double?
    public var events: [Event]

    public struct Calls: Codable, Sendable {
        /// By procedure name, those that were called.
        public var client: [String: Int]
        public var main: [String: Int]
        public var shadow: [String: Int]
        /// Calls that are not in `main`: those that find out whether main is there and still the same;
        /// nil in files of older versions.
        public var mainChecks: Int? = 0

        enum CodingKeys: String, CodingKey {
            case client, main, shadow
            case mainChecks = "main_checks"
        }
    }

    /// By procedure name, those that were answered.
    public struct Latencies: Codable, Sendable {
        /// Of the session's clients, from when a call was looked at until its answer was handed to the socket.
        public var client: [String: Latency]
        /// Of main's servers, for all sessions; empty for a directory of this machine.
        public var main: [String: Latency]
    }

    /// How long calls took, in milliseconds. Percentiles are at most an eighth too high.
    public struct Latency: Codable, Sendable, Equatable {
        /// Those that were answered.
        public var calls: Int
        public var p50MS: Double
        public var p90MS: Double
        public var p99MS: Double
        public var maximumMS: Double

        enum CodingKeys: String, CodingKey {
            case calls
            case p50MS = "p50_ms"
            case p90MS = "p90_ms"
            case p99MS = "p99_ms"
            case maximumMS = "max_ms"
        }

        init(_ times: LatencyHistogram) {
            calls = times.count
            p50MS = Double(times.quantile(0.5)) / 1e6
            p90MS = Double(times.quantile(0.9)) / 1e6
            p99MS = Double(times.quantile(0.99)) / 1e6
            maximumMS = Double(times.maximumNanoseconds) / 1e6
        }
    }

    public struct Bytes: Codable, Sendable {
        public var fromMain: Int
        public var toClient: Int
        public var fromClient: Int
        /// Bytes of storage that the shadow's sparse files take up.
        public var shadowStored: Int
        public var cacheHit: Int

        enum CodingKeys: String, CodingKey {
            case fromMain = "from_main"
            case toClient = "to_client"
            case fromClient = "from_client"
            case shadowStored = "shadow_stored"
            case cacheHit = "cache_hit"
        }
    }

    public struct Changed: Codable, Sendable {
        public var files: Int
        public var blocks: Int
    }

    public struct StoredFile: Codable, Sendable {
        public var path: String
        public var storedBytes: Int

        public init(path: String, storedBytes: Int) {
            self.path = path
            self.storedBytes = storedBytes
        }

        enum CodingKeys: String, CodingKey {
            case path
            case storedBytes = "stored_bytes"
        }
    }

    public struct Main: Codable, Sendable {
        public var server: String
        /// `local`, `connected`, `disconnected`, `connecting`, `checking`, or `refused` because it has
        /// another tree.
        public var state: String
        public var lastError: String?
        /// Whether it is the one that is asked.
        public var isActive: Bool
        /// Of small calls, in milliseconds.
        public var roundTripMS: Double?

        enum CodingKeys: String, CodingKey {
            case server, state
            case lastError = "last_error"
            case isActive = "active"
            case roundTripMS = "round_trip_ms"
        }

        init(
            server: String, state: String, lastError: String?, isActive: Bool = true,
            roundTripMS: Double? = nil
        ) {
            self.server = server
            self.state = state
            self.lastError = lastError
            self.isActive = isActive
            self.roundTripMS = roundTripMS
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            server = try container.decode(String.self, forKey: .server)
            state = try container.decode(String.self, forKey: .state)
            lastError = try container.decodeIfPresent(String.self, forKey: .lastError)
            // Older versions knew one server.
            isActive = try container.decodeIfPresent(Bool.self, forKey: .isActive) ?? true
            roundTripMS = try container.decodeIfPresent(Double.self, forKey: .roundTripMS)
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(server, forKey: .server)
            try container.encode(state, forKey: .state)
            // Present even when there is none.
            try container.encode(lastError, forKey: .lastError)
            try container.encode(isActive, forKey: .isActive)
            try container.encode(roundTripMS, forKey: .roundTripMS)
        }
    }

    public struct Cache: Codable, Sendable {
        /// Bytes of storage that it may take up, and does.
        public var limit: UInt64
        public var used: UInt64
        public var files: Int
        /// Since the process started: blocks that were written, given up for others, and found not to
        /// be what was written (files that were cut short count as one).
        public var filledBlocks: Int
        public var evictedBlocks: Int
        public var damaged: Int

        enum CodingKeys: String, CodingKey {
            case limit, used, files, damaged
            case filledBlocks = "filled_blocks"
            case evictedBlocks = "evicted_blocks"
        }
    }

    /// The manifest of the image.
    public struct Manifest: Codable, Sendable {
        /// SHA-256 of its sums, in hexadecimal: what it is known by.
        public var root: String?
        /// `looking`, `loading`, `loaded`, or `unusable` when it is damaged.
        public var state: String
        /// Pieces of 64 KiB that it has, and those at its beginning that are here.
        public var pieces: Int?
        public var piecesLoaded: Int?
        /// Since the process started: blocks of main that were compared, those that were not right, and those that
        /// were had from another image on this machine instead.
        public var verified: Int
        public var wrong: Int
        public var copied: Int
        public var copiedBytes: Int

        struct Counts {
            var verified = 0
            var wrong = 0
            var copied = 0
            var copiedBytes = 0
        }

        init(root: String?, state: String, pieces: Int?, piecesLoaded: Int?, counts: Counts) {
            self.root = root
            self.state = state
            self.pieces = pieces
            self.piecesLoaded = piecesLoaded
            verified = counts.verified
            wrong = counts.wrong
            copied = counts.copied
            copiedBytes = counts.copiedBytes
        }

        enum CodingKeys: String, CodingKey {
            case root, state, pieces, verified, wrong, copied
            case piecesLoaded = "pieces_loaded"
            case copiedBytes = "copied_bytes"
        }
    }

    /// A machine that boots here.
    public struct Machine: Codable, Sendable {
        /// Its network card's address; absent where that is not known.
        public var mac: String?
        /// Where it was seen last.
        public var address: String
        public var hostname: String?
        /// `dhcp`, `loading`, `mounted` or `running`.
        public var stage: String
        /// Seconds since 1970.
        public var lastSeen: Double

        enum CodingKeys: String, CodingKey {
            case mac, address, hostname, stage
            case lastSeen = "last_seen"
        }

        init(address: String, hostname: String?, stage: String, lastSeen: Double) {
            self.address = address
            self.hostname = hostname
            self.stage = stage
            self.lastSeen = lastSeen
        }
    }

    public struct Event: Codable, Sendable {
        /// Seconds since 1970.
        public var time: Double
        public var message: String
    }

    enum CodingKeys: String, CodingKey {
        case session, image, state, durability, calls, latency, bytes, changed, largest, handles,
            syncs,
            main, cache, manifest, shadow, machine, events
        case lastSeen = "last_seen"
        case uptimeSeconds = "uptime_seconds"
    }
}
