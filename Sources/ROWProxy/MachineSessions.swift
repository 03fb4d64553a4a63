import Foundation
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

extension Proxy {
    /// Sessions for machines that boot here: whoever mounts `/boot/NAME` gets one of its own, and nobody
    /// else does anything with it.
    public struct MachineSettings: Sendable {
        /// The name in `/boot/NAME`: 1 to 24 letters, digits, `.`, `_` and `-`.
        public var name: String
        /// Whether a machine that boots finds the image as it is, or its own changes.
        public var isEphemeral = false
        /// How many machines may have sessions.
        public var sessionsMaximum = 256
        /// How many connections one machine may have at a time.
        public var connectionsMaximum = 32
        /// The file that gets a profile of what the first machine that mounts touches of the image.
        public var record: String?
        /// How long a machine that is off has not been heard, in seconds.
        var silence: TimeInterval = 60
        /// Which network card an address belongs to; nil: what the kernel knows.
        var card: (@Sendable (IPAddress) -> String?)?

        public init(name: String) { self.name = name }

        private static let nameMaximum = 24

        func check() throws(ConfigurationError) {
            guard name.utf8.count <= Self.nameMaximum,
                (try? StateLayout.check(sessionName: name)) != nil
            else {
                throw ConfigurationError(
                    message:
                        "'\(name)' cannot be the name of an image that machines boot: use 1 to "
                        + "\(Self.nameMaximum) letters, digits, '.', '_' and '-', not starting with '.' "
                        + "or '-'")
            }
        }
    }
}

/// Gives each machine its session, and keeps others from it.
///
/// Loop-confined.
final class MachineSessions {
    let settings: Proxy.MachineSettings
    private unowned let imageLoop: ImageLoop
    private var machines: [MachineIdentity: Machine] = [:]
    /// Who waits for a session that is being made, by its name.
    private var waiting: [String: [(Result<ServedSession, any Error>) -> Void]] = [:]
    /// Who waits for a session to be thrown away, by its name.
    private var discarding: [String: [() -> Void]] = [:]
    /// The first machine that mounts writes down what it touches, if that is wanted.
    private var record: String?

    /// Machines that only asked for an address are forgotten when there are more.
    private static let machinesMaximum = 4096

    init(_ settings: Proxy.MachineSettings, imageLoop: ImageLoop) {
        self.settings = settings
        self.imageLoop = imageLoop
        record = settings.record
    }

    /// What machines mount, in parts.
    var path: [[UInt8]] { [Array("boot".utf8), Array(settings.name.utf8)] }

    private var events: EventLog { imageLoop.events }

    // MARK: Who is it

    func identity(of client: ClientAddress) -> MachineIdentity {
        guard let address = client.address else { return .address("") }
        let card = settings.card?(address) ?? Neighbours.card(of: address)
        return card.map { .mac($0) } ?? .address(address.description)
    }

    /// The machine that a client is, as far as it is known.
    private func machine(of client: ClientAddress) -> Machine? {
        machine(identity(of: client), at: client)
    }

    private func machine(_ identity: MachineIdentity, at client: ClientAddress) -> Machine? {
        if let known = machines[identity] { return known }
        // The kernel may have forgotten whose card that is.
        guard case .address = identity else { return nil }
        return machines.values.first { $0.address == client.description }
    }

    /// Whether a client may do anything in a session: a machine in its own only, and this machine itself in
    /// all.
    func admits(_ connection: RPCHandler, to session: ServedSession) -> Bool {
        guard let machine = session.machine else { return true }
        if connection.isOfThisMachine { return true }
        if connection.machine !== machine {
            guard self.machine(of: connection.client) === machine else { return false }
            connection.machine = machine
        }
        machine.heard(by: connection.opened)
        return true
    }

    /// It has an address, which no other has any more.
    private func settle(_ machine: Machine, at address: String) {
        for other in machines.values where other !== machine && other.address == address {
            other.address = ""
        }
        machine.address = address
    }

    // MARK: Sessions

    /// Serves the sessions of machines that were served before, which may be running; those that were
    /// seen last first.
    func restore(then: @escaping () -> Void) {
        let state = imageLoop.configuration.state
        var found: [(machine: Machine, seen: Date)] = []
        for name in imageLoop.sessions.expectedNames {
            let directory = state.session(name)
            guard let machine = Machine(session: name, directory: directory, image: settings.name)
            else { continue }
            let attributes = try? FileManager.default.attributesOfItem(
                atPath: directory.appending("status.json").string)
            found.append((machine, attributes?[.modificationDate] as? Date ?? .distantPast))
        }
        found.sort { $0.seen > $1.seen }
        restore(found.map(\.machine).prefix(settings.sessionsMaximum), then)
    }

    private func restore(_ remaining: ArraySlice<Machine>, _ then: @escaping () -> Void) {
        guard let machine = remaining.first else { return then() }
        machines[machine.identity] = machine
        serve(machine) { result in
            if case .failure(let error) = result {
                self.events.add("the session \(machine.session) is not served: \(error)")
            }
            self.restore(remaining.dropFirst(), then)
        }
    }

    /// The session of the machine that a mount comes from; it is made when there is none.
    func mount(
        _ connection: RPCHandler, then: @escaping (Result<ServedSession, any Error>) -> Void
    ) {
        let machine = machine(at: connection.client, ifNew: .mounted)
        let served = imageLoop.sessions[machine.session]
        // A program of its users cannot have a port like that.
        let begins =
            settings.isEphemeral && machine.bootingSince != nil && connection.hasPrivilegedPort
        if begins, let served, discarding[machine.session] == nil { discard(served) }
        if discarding[machine.session] != nil {
            discarding[machine.session]?.append { self.open(machine, then) }
        } else {
            open(machine, then)
        }
    }

    private func open(
        _ machine: Machine, _ then: @escaping (Result<ServedSession, any Error>) -> Void
    ) {
        guard
            imageLoop.sessions[machine.session] != nil
                || sessionCount < settings.sessionsMaximum
        else {
            let message =
                "\(machine.identity) got no session: \(settings.sessionsMaximum) machines have one; "
                + "rowctl rm those that are not needed, or raise --machines"
            events.add(message)
            then(.failure(StateError(.locked, message)))
            return
        }
        serve(machine) { result in
            if case .success(let session) = result {
                machine.hasMounted(changes: session.counters.changes)
                self.write(machine)
            }
            then(result)
        }
    }

    /// Has the session's directory say whose it is.
    private func write(_ machine: Machine) {
        do {
            try machine.write(
                to: imageLoop.configuration.state.session(machine.session), image: settings.name)
        } catch {
            events.add(
                "\(machine.session) cannot be marked as the session of \(machine.identity) (\(error)): after "
                    + "a restart of the proxy it waits until the machine mounts again")
        }
    }

    private var sessionCount: Int {
        imageLoop.sessions.all.count { $0.machine != nil } + waiting.count
    }

    private func serve(
        _ machine: Machine, _ then: @escaping (Result<ServedSession, any Error>) -> Void
    ) {
        if let session = imageLoop.sessions[machine.session] {
            session.machine = machine
            return then(.success(session))
        }
        waiting[machine.session, default: []].append(then)
        guard waiting[machine.session]?.count == 1 else { return }
        var options = imageLoop.configuration.sessionOptions
        options.name = machine.session
        options.isReadOnly = false
        options.profile = nil
        options.record = record
        record = nil
        imageLoop.add(options) { result in
            if case .success(let session) = result { session.machine = machine }
            for waiter in self.waiting.removeValue(forKey: machine.session) ?? [] { waiter(result) }
        }
    }

    /// Throws a session away. Should that fail, whoever opens it hears why.
    private func discard(_ session: ServedSession) {
        let name = session.state.name
        let tag = session.state.handles.tag
        let imageLoop = imageLoop
        let directory = imageLoop.configuration.state.session(name)
        discarding[name] = []
        let bound = NIOLoopBound(self, eventLoop: imageLoop.loop)
        imageLoop.remove(session) { _ in
            imageLoop.pool.runIfActive(eventLoop: imageLoop.loop) {
                try StoredSession.remove(directory)
            }.whenComplete { result in
                let sessions = bound.value
                switch result {
                case .success: sessions.imageLoop.sessions.forget(tag: tag)
                case .failure(let error):
                    sessions.events.add("the session \(name) is not thrown away: \(error)")
                }
                for waiter in sessions.discarding.removeValue(forKey: name) ?? [] { waiter() }
            }
        }
    }

    /// Lets go of a session, so that it can be removed, unless its machine is at work.
    /// - Parameter then: hears why not.
    func letGo(_ session: ServedSession, then: @escaping (String?) -> Void) {
        guard let machine = session.machine else { return then(nil) }
        session.look()
        if let seen = session.lastSeen, Date().timeIntervalSince(seen) < settings.silence {
            return then(
                "\(machine.identity) (\(machine.address)) uses it: shut that machine down, and wait "
                    + "\(Int(settings.silence)) s")
        }
        imageLoop.remove(session) { failure in
            self.machines[machine.identity] = nil
            then(failure?.message)
        }
    }

    // MARK: What is seen of machines before they mount

    /// The machine that a client is, where it is now.
    private func machine(at client: ClientAddress, ifNew stage: Machine.Stage) -> Machine {
        let identity = identity(of: client)
        let machine =
            machine(identity, at: client) ?? newMachine(identity, client.description, stage)
        settle(machine, at: client.description)
        return machine
    }

    private func newMachine(
        _ identity: MachineIdentity, _ address: String, _ stage: Machine.Stage
    ) -> Machine {
        if machines.count >= Self.machinesMaximum {
            machines = machines.filter { _, machine in
                let name = machine.session
                return imageLoop.sessions[name] != nil || waiting[name] != nil
                    || discarding[name] != nil
            }
        }
        let machine = Machine(
            identity, session: "\(settings.name)-\(identity.name)", address: address, stage: stage)
        machines[identity] = machine
        return machine
    }

    /// A machine has been given an address.
    func leased(card: String, address: String, hostname: String?) {
        guard let card = MachineIdentity.card(card), let address = IPAddress(address) else {
            return
        }
        let identity = MachineIdentity.mac(card)
        let machine = machines[identity] ?? newMachine(identity, address.description, .dhcp)
        settle(machine, at: address.description)
        machine.hostname = hostname ?? machine.hostname
        // One that runs asks again from time to time.
        if imageLoop.sessions[machine.session] == nil { machine.reach(.dhcp) }
    }

    /// A machine has been sent what it boots from.
    /// - Parameter isFirst: what its firmware asks for first.
    func loads(at address: String, isFirst: Bool) {
        guard let address = IPAddress(address) else { return }
        let machine = machine(at: ClientAddress(address), ifNew: .loading)
        if isFirst { machine.startsBooting() }
    }

    /// The session that a machine's kernel is taken from; nil where that is the image.
    func kernelSession(of address: String) -> String? {
        guard !settings.isEphemeral, let address = IPAddress(address),
            let machine = machine(of: ClientAddress(address)),
            imageLoop.sessions[machine.session] != nil
        else { return nil }
        return machine.session
    }

    // MARK: Status

    func status(of session: ServedSession) -> SessionStatus.Machine? {
        session.machine?.status(
            changes: session.counters.changes, lastSeen: session.lastSeen?.timeIntervalSince1970)
    }

    /// Machines that have no session.
    var withoutSession: [SessionStatus.Machine] {
        machines.values.filter { imageLoop.sessions[$0.session] == nil }
            .map { $0.status(changes: nil, lastSeen: nil) }
            .sorted { ($0.mac ?? "", $0.address) < ($1.mac ?? "", $1.address) }
    }
}
