internal import Foundation
internal import Glibc
internal import NIOCore
public import ROWProxy
public import SystemPackage

/// Finds out how a process stands, at most once a second however many ask.
public actor StatusSource {
    private let version: String
    private let state: FilePath
    private let proxies: @Sendable () async -> [Proxy]
    private let leases: @Sendable () async -> [LeaseStatus]
    private var current: (looked: ContinuousClock.Instant, snapshot: Snapshot)?
    private var looking: Task<Snapshot, Never>?

    /// What was seen, and what has been made of it.
    private struct Snapshot: Sendable {
        let status: ServiceStatus
        var texts: [StatusDocument: ByteBuffer] = [:]
    }

    private static let age = Duration.seconds(1)
    /// For an event loop's answer.
    private static let patience = Duration.seconds(3)

    /// - Parameter version: of the program.
    /// - Parameter state: the state directory.
    /// - Parameter proxies: those of this process that run now.
    /// - Parameter leases: those of its sessions; of several on one version the one in the worst state is shown.
    public init(
        version: String, state: FilePath, proxies: @escaping @Sendable () async -> [Proxy],
        leases: @escaping @Sendable () async -> [LeaseStatus]
    ) {
        self.version = version
        self.state = state
        self.proxies = proxies
        self.leases = leases
    }

    /// How things stand, or stood less than a second ago.
    public func status() async -> ServiceStatus { await snapshot().status }

    /// A document about it, and whether everything answers.
    func document(_ document: StatusDocument) async -> (text: ByteBuffer, isHealthy: Bool) {
        let snapshot = await snapshot()
        if let text = snapshot.texts[document] { return (text, snapshot.status.isHealthy) }
        let text = ByteBuffer(string: document.text(of: snapshot.status))
        // Another may have taken its place meanwhile.
        if current?.snapshot.status.time == snapshot.status.time {
            current?.snapshot.texts[document] = text
        }
        return (text, snapshot.status.isHealthy)
    }

    private func snapshot() async -> Snapshot {
        if let current, ContinuousClock.now - current.looked < Self.age {
            return current.snapshot
        }
        if let looking { return await looking.value }
        let task = Task {
            let snapshot = Snapshot(status: await look())
            current = (.now, snapshot)
            looking = nil
            return snapshot
        }
        looking = task
        return await task.value
    }

    private func look() async -> ServiceStatus {
        let answers = await Self.ask(await proxies())
        var images: [ImageStatus] = []
        var silent = 0
        for answer in answers {
            switch answer {
            case .status(let status): images.append(status)
            case .silent: silent += 1
            case .stopped: break
            }
        }
        return ServiceStatus(
            version: version, processID: getpid(), host: Self.hostName,
            time: Date().timeIntervalSince1970, process: .now(), disk: disk(),
            images: images.sorted { $0.image < $1.image }, silentImages: silent,
            leases: LeaseStatus.byImage(await leases()))
    }

    private static func ask(_ proxies: [Proxy]) async -> [Proxy.ImageAnswer] {
        await withTaskGroup(of: Proxy.ImageAnswer.self) { group in
            for proxy in proxies {
                group.addTask { await proxy.imageStatus(within: patience) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func disk() -> ServiceStatus.Disk? {
        var figures = statvfs()
        guard statvfs(state.string, &figures) == 0 else { return nil }
        let block = UInt64(figures.f_frsize)
        return ServiceStatus.Disk(
            path: state.string, sizeBytes: UInt64(figures.f_blocks) * block,
            availableBytes: UInt64(figures.f_bavail) * block)
    }
}

/// What can be had of a status.
enum StatusDocument: Hashable {
    case page
    case json
    case metrics

    /// - Parameter path: of a request, without a query.
    init?(path: some StringProtocol) {
        switch path {
        case "/": self = .page
        case "/status.json": self = .json
        case "/metrics": self = .metrics
        default: return nil
        }
    }

    var contentType: String {
        switch self {
        case .page: "text/html; charset=utf-8"
        case .json: "application/json"
        case .metrics: "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    func text(of status: ServiceStatus) -> String {
        switch self {
        case .page: StatusPage.html(status)
        case .json: status.json
        case .metrics: Metrics.text(status)
        }
    }
}

extension ServiceStatus {
    /// One line.
    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
