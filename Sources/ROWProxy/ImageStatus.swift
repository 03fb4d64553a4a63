import Foundation
import NIOCore
import ROWCore
import Synchronization

/// What is told of an image that is served, with all its sessions. The keys are an interface for other programs
/// and stay.
public struct ImageStatus: Encodable, Sendable {
    public var image: String
    public var uptimeSeconds: Double
    /// Of all sessions since the image is served, those that have ended among them.
    public var calls: SessionStatus.Calls
    public var latency: SessionStatus.Latencies
    /// As ``calls``; what is stored is that of the sessions that are served now.
    public var bytes: SessionStatus.Bytes
    public var main: [SessionStatus.Main]
    public var cache: SessionStatus.Cache?
    public var manifest: SessionStatus.Manifest?
    /// By name. What happened to them is in ``events``.
    public var sessions: [SessionStatus]
    /// Machines that boot and have no session yet.
    public var machinesWithoutSession: [SessionStatus.Machine]
    /// The last ones, oldest first.
    public var events: [Event] = []
    /// How long calls took, in full.
    public var times: [Times]

    public struct Event: Encodable, Sendable {
        /// Seconds since 1970.
        public var time: Double
        /// Absent for what concerns all of them.
        public var session: String?
        public var message: String
    }

    /// How long the calls of one procedure took on one side.
    public struct Times: Sendable {
        /// `client` or `main`.
        public let side: String
        public let procedure: String
        public let histogram: LatencyHistogram
    }

    private static let eventsMaximum = 100

    enum CodingKeys: String, CodingKey {
        case image, calls, latency, bytes, main, cache, manifest, sessions, events
        case uptimeSeconds = "uptime_seconds"
        case machinesWithoutSession = "machines_without_session"
    }

    /// Takes the last of all events.
    fileprivate mutating func add(_ logs: [(session: String?, events: [SessionStatus.Event])]) {
        let all = logs.flatMap { session, events in
            events.map { Event(time: $0.time, session: session, message: $0.message) }
        }
        events = all.sorted { $0.time < $1.time }.suffix(Self.eventsMaximum)
    }
}

extension Proxy {
    /// An answer of an image's event loop.
    public enum ImageAnswer: Sendable {
        case status(ImageStatus)
        /// The proxy has been stopped.
        case stopped
        /// The loop is held up.
        case silent
    }

    /// What the image and all its sessions did, and how they are. The loop is asked for figures only; what can be
    /// done elsewhere is not done there.
    /// - Parameter limit: how long the loop may take.
    public func imageStatus(within limit: Duration) async -> ImageAnswer {
        guard !turns.isEnded else { return .stopped }
        let imageLoop = imageLoop
        let (answers, continuation) = AsyncStream<Answer>.makeStream()
        imageLoop.eventLoop.execute {
            continuation.yield(
                imageLoop.value.map { .figures($0.status(), $0.eventLogs) } ?? .stopped)
        }
        let timer = Task {
            try await Task.sleep(for: limit)
            continuation.yield(.silent)
        }
        defer { timer.cancel() }
        for await answer in answers {
            switch answer {
            case .figures(var status, let logs):
                status.add(logs)
                return .status(status)
            case .stopped: return .stopped
            case .silent: return .silent
            }
        }
        return .stopped
    }

    private enum Answer: Sendable {
        case figures(ImageStatus, [(session: String?, events: [SessionStatus.Event])])
        case stopped
        case silent
    }
}

extension ImageLoop {
    fileprivate func status() -> ImageStatus {
        let served = sessions.all.sorted { $0.state.name < $1.state.name }
        let all = Counters()
        all.keep(counters)
        var shadowCalls = endedShadowCalls
        for session in served {
            all.keep(session.counters)
            shadowCalls.merge(session.state.shadowCalls.byName, uniquingKeysWith: +)
        }
        let statuses = served.map { status(of: $0, isBrief: true) }
        return ImageStatus(
            image: image.source, uptimeSeconds: Date().timeIntervalSince(started),
            calls: SessionStatus.Calls(
                client: Counters.byName(all.client), main: Counters.byName(counters.main),
                shadow: shadowCalls, mainChecks: counters.mainChecks),
            latency: SessionStatus.Latencies(
                client: all.clientTimes.summaries, main: counters.mainTimes.summaries),
            bytes: SessionStatus.Bytes(
                fromMain: counters.bytesFromMain, toClient: all.bytesToClient,
                fromClient: all.bytesFromClient,
                shadowStored: statuses.reduce(0) { $0 + $1.bytes.shadowStored },
                cacheHit: counters.bytesFromCache),
            main: mainStatus, cache: main.cache?.status, manifest: manifestStatus,
            sessions: statuses, machinesWithoutSession: machines?.withoutSession ?? [],
            times: times("client", all.clientTimes) + times("main", counters.mainTimes))
    }

    fileprivate var eventLogs: [(session: String?, events: [SessionStatus.Event])] {
        [(nil, events.all)] + sessions.all.map { ($0.state.name, $0.events.all) }
    }

    private func times(_ side: String, _ times: ProcedureTimes) -> [ImageStatus.Times] {
        times.byName.map {
            ImageStatus.Times(side: side, procedure: $0.name, histogram: $0.times)
        }
    }
}

/// What a process that serves images takes of its machine.
public struct ProcessStatus: Codable, Sendable {
    public var cpuSeconds: Double
    public var memoryBytes: Int

    enum CodingKeys: String, CodingKey {
        case cpuSeconds = "cpu_seconds"
        case memoryBytes = "memory_bytes"
    }

    public static func now() -> ProcessStatus {
        let reading = ProcessUsage().reading()
        return ProcessStatus(
            cpuSeconds: Double(reading.cpuMicroseconds) / 1e6, memoryBytes: reading.memoryBytes)
    }
}
