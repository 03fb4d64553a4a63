import Foundation
import ROWCore
import SystemPackage

/// What is told of sessions.
extension ImageLoop {
    func status(of session: ServedSession) -> SessionStatus {
        session.look()
        let state = session.state
        let totals = state.totals()
        return SessionStatus(
            session: state.name, image: image.source, state: "running",
            durability: session.options.durability.rawValue,
            uptimeSeconds: Date().timeIntervalSince(session.started),
            calls: SessionStatus.Calls(
                client: Counters.byName(session.counters.client),
                main: Counters.byName(counters.main),
                shadow: state.shadowCalls.byName,
                mainChecks: counters.mainChecks),
            bytes: SessionStatus.Bytes(
                fromMain: counters.bytesFromMain, toClient: session.counters.bytesToClient,
                fromClient: session.counters.bytesFromClient,
                shadowStored: Int(totals.allocated), cacheHit: counters.bytesFromCache),
            changed: SessionStatus.Changed(files: Int(totals.files), blocks: Int(totals.blocks)),
            handles: state.nodeCount, syncs: Syncs.done, main: mainStatus,
            cache: main.cache?.status, manifest: manifestStatus,
            shadow: session.shadow?.status,
            machine: machines?.status(of: session),
            lastSeen: session.lastSeen?.timeIntervalSince1970,
            events: (events.all + session.events.all).sorted { $0.time < $1.time })
    }

    private var manifestStatus: SessionStatus.Manifest? {
        guard case .remote(let remote, _) = main.kind else { return nil }
        return remote.manifest?.status
    }

    private var mainStatus: [SessionStatus.Main] {
        switch main.kind {
        case .directory:
            [
                SessionStatus.Main(
                    server: image.source, state: "local", lastError: nil, isActive: true)
            ]
        case .remote(let remote, _): remote.status
        }
    }

    /// What `stat-session` shows when nobody runs the session.
    func writeStatusFile(of session: ServedSession) {
        let path = configuration.state.session(session.state.name).appending("status.json")
        var status = status(of: session)
        status.state = "stopped"
        if let data = try? JSONEncoder().encode(status) {
            try? SmallFile.write(data, to: path)
        }
    }
}
