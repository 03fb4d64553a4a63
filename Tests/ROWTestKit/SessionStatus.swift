public import Foundation

/// What `rowctl stat-session NAME --json` prints, as far as tests look at it.
public struct SessionStatus: Decodable, Sendable {
    public struct Calls: Decodable, Sendable {
        /// Calls by procedure name, such as `READ`.
        public let client: [String: Int]
        public let main: [String: Int]
        public let shadow: [String: Int]?
    }

    public struct Bytes: Decodable, Sendable {
        public let fromMain: Int
        public let toClient: Int
        public let fromClient: Int
        public let shadowStored: Int
        public let cacheHit: Int?
    }

    /// What the image is compared with.
    public struct Manifest: Decodable, Sendable {
        public let root: String?
        public let state: String
        public let verified: Int
        public let wrong: Int
        public let copied: Int
        public let copiedBytes: Int
    }

    public struct Changed: Decodable, Sendable {
        public let files: Int
        public let blocks: Int
    }

    /// Of the process that serves the session.
    public struct Syncs: Decodable, Sendable {
        public let data: Int
        public let directories: Int
        public let databases: Int

        public var total: Int { data + directories + databases }
    }

    /// A server of the image.
    public struct Main: Decodable, Sendable {
        public let server: String
        public let state: String
        public let lastError: String?
        public let active: Bool
        public let roundTripMs: Double?
    }

    /// Something that an operator should know.
    public struct Event: Decodable, Sendable {
        public let message: String
    }

    public let session: String
    public let calls: Calls
    public let bytes: Bytes
    public let image: String
    public let manifest: Manifest?
    public let changed: Changed
    public let syncs: Syncs?
    public let main: [Main]
    public let events: [Event]

    public init(json: Data) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(SessionStatus.self, from: json)
    }

    /// Asks the process that serves the session, or its files when none does.
    /// - Parameter state: the state directory.
    public static func read(session: String, state: String) async throws -> SessionStatus {
        let text = try await RowctlProcess.run(
            ["stat-session", session, "--state", state, "--json"])
        return try SessionStatus(json: Data(text.utf8))
    }
}
