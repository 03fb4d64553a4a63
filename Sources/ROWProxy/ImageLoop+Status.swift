import Foundation
import ROWCore
import SystemPackage

/// What is told of sessions.
extension ImageLoop {
    /// - Parameter isBrief: as one of many: without events, and what takes long to add up as it was a while ago.
    func status(of session: ServedSession, isBrief: Bool = false) -> SessionStatus {
        session.look()
        let state = session.state
        let totals = isBrief ? session.totalsOfLate() : state.totals()
        return SessionStatus(
            session: state.name, image: image.source, state: "running",
            durability: session.options.durability.rawValue,
            uptimeSeconds: Date().timeIntervalSince(session.started),
            calls: SessionStatus.Calls(
                client: Counters.byName(session.counters.client),
                main: Counters.byName(counters.main),
                shadow: state.shadowCalls.byName,
                mainChecks: counters.mainChecks),
            latency: SessionStatus.Latencies(
                client: session.counters.clientTimes.summaries,
                main: counters.mainTimes.summaries),
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
            events: isBrief
                ? [] : (events.all + session.events.all).sorted { $0.time < $1.time })
    }

    var manifestStatus: SessionStatus.Manifest? {
        guard case .remote(let remote, _) = main.kind else { return nil }
        return remote.manifest?.status
    }

    var mainStatus: [SessionStatus.Main] {
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
