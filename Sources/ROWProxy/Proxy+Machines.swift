public import NIOCore
import ROWCore

/// What whoever hands out addresses and boot files sees of machines.
extension Proxy {
    /// A machine has been given an address.
    /// - Parameter card: of its network card: six pairs of hexadecimal digits with colons between them.
    public func machineLeased(card: String, address: String, hostname: String?) {
        tellMachines { $0.leased(card: card, address: address, hostname: hostname) }
    }

    /// A machine is about to be sent, or has been sent, something that it boots from.
    /// - Parameter isFirst: it is what its firmware asks for first: what ran on it runs no more.
    public func machineLoads(at address: String, isFirst: Bool) {
        tellMachines { $0.loads(at: address, isFirst: isFirst) }
    }

    /// Whether a client may come in.
    public func admits(_ address: SocketAddress) -> Bool {
        Admission(configuration.allow).admits(ClientAddress(address))
    }

    /// Something that operators should know, for the events of its sessions.
    public func report(_ event: String, _ level: Event.Level = .warning) {
        let imageLoop = imageLoop
        imageLoop.eventLoop.execute { imageLoop.value?.events.add(event, level) }
    }

    /// The session from which a machine gets its kernel: its own, or this proxy's where it has none or
    /// begins anew.
    public func kernelSession(ofMachineAt address: String) async -> String {
        await withMachines { $0.kernelSession(of: address) }.flatMap(\.self)
            ?? configuration.session
    }

    /// In order, and before anything that comes over the network from now on.
    private func tellMachines(_ body: @escaping @Sendable (MachineSessions) -> Void) {
        let imageLoop = imageLoop
        imageLoop.eventLoop.execute {
            if let machines = imageLoop.value?.machines { body(machines) }
        }
    }

    /// - Returns: nil when the proxy has been stopped, or serves no machines.
    private func withMachines<T: Sendable>(
        _ body: @escaping @Sendable (MachineSessions) -> T
    ) async -> T? {
        let imageLoop = imageLoop
        return try? await imageLoop.eventLoop.submit { imageLoop.value?.machines.map(body) }.get()
    }
}

extension StateDirectory {
    /// Machines that have no session: they have only asked for an address, or for what they boot from.
    public func machinesWithoutSession() -> [SessionStatus.Machine] {
        layout.imageDirectories().flatMap { directory -> [SessionStatus.Machine] in
            guard
                case .machines(let machines)? =
                    try? ControlSocket.ask(.machines, imageDirectory: directory)
            else { return [] }
            return machines
        }
    }

    /// Has the process that serves a machine's session let go of it, so that it can be removed; does nothing
    /// for other sessions.
    /// - Throws: `StateError` when the machine is at work.
    public func letGo(_ session: String) throws {
        let stored = try StoredSession.read(existingSession(session))
        let answer = try ControlSocket.ask(
            .letGo(session: session), imageDirectory: image(stored.image))
        if case .refused(let message)? = answer { throw StateError(.locked, message) }
    }
}
