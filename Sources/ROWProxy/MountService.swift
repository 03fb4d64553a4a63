import NFSProtocol
import ONCRPC
import ROWCore
import XDR

/// MOUNT version 3 (RFC 1813 appendix I) and version 1 (RFC 1094 appendix A): hands out the root
/// handle of a session, or of a directory below it.
final class MountService {
    private let sessions: SessionTable
    private let main: MainSource
    /// The addresses that may mount, for EXPORT; none: this machine's.
    private let allow: [AddressRange]
    /// Told who has mounted a session.
    private let onMount: (ServedSession, ClientAddress) -> Void
    /// Sessions of machines that boot here.
    var machines: MachineSessions?
    /// Who has mounted what, for DUMP. A hint at best: clients may go without a word.
    private var mounts: [Mount.Dump.Entry] = []
    private static let mountsMaximum = 1024

    init(
        sessions: SessionTable, main: MainSource, allow: [AddressRange],
        onMount: @escaping (ServedSession, ClientAddress) -> Void
    ) {
        self.sessions = sessions
        self.main = main
        self.allow = allow
        self.onMount = onMount
    }

    func serve(_ call: RPCCall) {
        guard let procedure = Mount.Procedure(rawValue: call.header.procedure) else {
            call.reject(.procUnavail)
            return
        }
        do {
            switch procedure {
            case .null: call.reply(XDRVoid())
            case .mnt: mount(call, try call.arguments(Mount.Mnt.Arguments.self))
            case .dump: call.reply(Mount.Dump.Result(mounts))
            case .umnt:
                let path = try call.arguments(Mount.Umnt.Arguments.self)
                let host = Mount.Name(call.origin.client.bytes)
                mounts.removeAll { $0.hostname == host && $0.directory == path }
                call.reply(XDRVoid())
            case .umntall:
                let host = Mount.Name(call.origin.client.bytes)
                mounts.removeAll { $0.hostname == host }
                call.reply(XDRVoid())
            case .export:
                let groups = allow.map { Mount.Name(Array($0.description.utf8)) }
                call.reply(
                    Mount.Export.Result(
                        exports.map {
                            Mount.Export.Entry(directory: Mount.DirectoryPath($0), groups: groups)
                        }))
            }
        } catch {
            call.reject(.garbageArgs)
        }
    }

    private func mount(_ call: RPCCall, _ path: Mount.DirectoryPath) {
        let parts = path.bytes.split(separator: UInt8(ascii: "/")).map(Array.init)
        if let machines, parts.prefix(2).elementsEqual(machines.path) {
            mountRoot(call.detached(), path, machines, Array(parts.dropFirst(2)))
            return
        }
        guard let name = parts.first,
            let session = sessions[String(decoding: name, as: UTF8.self)],
            machines?.admits(call.origin, to: session) != false
        else {
            answer(call, .failure(.noent))
            return
        }
        walk(call.detached(), path, session.state, Array(parts.dropFirst()))
    }

    /// Mounts the session that is the machine's own.
    private func mountRoot(
        _ call: RPCCall, _ path: Mount.DirectoryPath, _ machines: MachineSessions,
        _ names: [[UInt8]]
    ) {
        let parking = call.park()
        machines.mount(call.origin) { result in
            parking.end()
            switch result {
            case .success(let session): self.walk(call, path, session.state, names)
            case .failure: self.answer(call, .failure(.serverFault))
            }
        }
    }

    /// What EXPORT tells of.
    private var exports: [String] {
        let open = sessions.all.filter { $0.machine == nil }.map { "/" + $0.state.name }.sorted()
        guard let machines else { return open }
        return open + ["/boot/\(machines.settings.name)"]
    }

    private func walk(
        _ call: RPCCall, _ path: Mount.DirectoryPath, _ session: SessionState, _ names: [[UInt8]]
    ) {
        do throws(Interrupt) {
            var id = NodeID.root
            for name in names where name != [UInt8(ascii: ".")] {
                id = try name.withUnsafeBufferPointer { bytes throws(Interrupt) in
                    try session.lookup(id, UnsafeRawBufferPointer(bytes), .root).id
                }
            }
            guard try session.attributes(of: id).type == .directory else {
                answer(call, .failure(.notdir))
                return
            }
            remember(call, path)
            if let served = sessions[tag: session.handles.tag] {
                onMount(served, call.origin.client)
            }
            answer(call, .ok(session.handle(of: id)))
        } catch {
            interrupted(error, call, path, session, names)
        }
    }

    private func interrupted(
        _ reason: Interrupt, _ call: RPCCall, _ path: Mount.DirectoryPath,
        _ session: SessionState, _ names: [[UInt8]]
    ) {
        switch reason {
        case .need(let fetch):
            let parking = call.park()
            main.fetch(fetch) { status in
                parking.end()
                if let status {
                    self.answer(call, .failure(Self.mountStatus(status)))
                } else {
                    self.walk(call, path, session, names)
                }
            }
        case .wait, .busy:
            let parking = call.park()
            session.commit { _ in
                parking.end()
                self.walk(call, path, session, names)
            }
        case .status(let status):
            answer(call, .failure(Self.mountStatus(status)))
        }
    }

    private func remember(_ call: RPCCall, _ path: Mount.DirectoryPath) {
        let entry = Mount.Dump.Entry(
            hostname: Mount.Name(call.origin.client.bytes), directory: path)
        guard !mounts.contains(entry) else { return }
        if mounts.count >= Self.mountsMaximum { mounts.removeFirst() }
        mounts.append(entry)
    }

    private enum Answer {
        case ok(NFS3.FileHandle)
        case failure(Mount.Status)
    }

    private func answer(_ call: RPCCall, _ answer: Answer) {
        switch (answer, call.header.version) {
        case (.ok(let handle), Mount.version1):
            guard let success = Mount.Mnt.SuccessVersion1(handle: handle) else {
                call.reply(Mount.Mnt.ResultVersion1.failure(.serverFault))
                return
            }
            call.reply(Mount.Mnt.ResultVersion1.ok(success))
        case (.ok(let handle), _):
            call.reply(
                Mount.Mnt.Result.ok(
                    Mount.Mnt.Success(handle: handle, flavors: [RPC.Flavor.sys, RPC.Flavor.none])))
        case (.failure(let status), Mount.version1):
            call.reply(Mount.Mnt.ResultVersion1.failure(status))
        case (.failure(let status), _):
            call.reply(Mount.Mnt.Result.failure(status))
        }
    }

    private static func mountStatus(_ status: NFS3.Status) -> Mount.Status {
        switch status {
        case .noent, .stale: .noent
        case .acces, .perm: .acces
        case .notdir: .notdir
        case .nameTooLong: .nameTooLong
        default: .io
        }
    }
}
