import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import XDR

/// Which program, version and procedure a call is for; everything we do not serve is told so, since
/// kernel clients probe (NFSACL, NLM).
final class RPCServer {
    private let nfs: NFSService
    let times: CallTimes
    private let mount: MountService
    private let admission: Admission
    let tls: ServerTLS
    private let onEvent: (String) -> Void
    /// What connections receive into.
    let spareBuffers = SpareBuffers()
    /// What connections gather large replies in.
    let spareReplies = SpareBuffers()
    /// What all connections hold.
    let memory: ConnectionMemory
    /// Once it is there.
    var polling: IdlePolling?
    private var connections: [ObjectIdentifier: RPCHandler] = [:]
    /// How many connections one client may have.
    private let connectionsOfOneMaximum: Int

    private static let connectionsMaximum = 1024
    /// How many of them one client may have: others come in, too. A site may be one address.
    static let connectionsOfOneStandard = connectionsMaximum / 2

    init(
        nfs: NFSService, mount: MountService, admission: Admission, tls: ServerTLS,
        connectionsOfOneMaximum: Int = connectionsOfOneStandard,
        connectionBytesMaximum: Int = ConnectionMemory.standardBytes,
        onEvent: @escaping (String) -> Void
    ) {
        self.nfs = nfs
        times = CallTimes(nfs.sessions, withoutSession: nfs.counters)
        self.mount = mount
        self.admission = admission
        self.tls = tls
        self.connectionsOfOneMaximum = connectionsOfOneMaximum
        memory = ConnectionMemory(maximum: connectionBytesMaximum)
        self.onEvent = onEvent
    }

    /// A connection that is not taken.
    enum Refusal: Error {
        case notAllowed
        case tooManyConnections
    }

    /// Whether a connection from this address is taken.
    /// - Parameter local: this end's.
    func admit(_ address: SocketAddress?, at local: SocketAddress?) throws(Refusal) {
        let client = ClientAddress(address)
        guard admission.admits(client) else {
            onEvent("refused a connection from \(client): --allow does not name it")
            throw .notAllowed
        }
        guard connections.count < Self.connectionsMaximum else {
            onEvent("refused a connection from \(client): there are \(connections.count) already")
            throw .tooManyConnections
        }
        guard
            client == ClientAddress(local)
                || connections.values.count(where: { $0.client == client })
                    < connectionsOfOneMaximum
        else {
            onEvent(
                "refused a connection from \(client): it has \(connectionsOfOneMaximum) already")
            throw .tooManyConnections
        }
    }

    func serve(_ call: RPCCall) {
        let header = call.header
        switch (header.program, header.version) {
        case (NFS3.program, NFS3.version): nfs.serve(call)
        case (NFS3.program, _):
            call.reject(.progMismatch(low: NFS3.version, high: NFS3.version))
        case (Mount.program, Mount.version), (Mount.program, Mount.version1): mount.serve(call)
        case (Mount.program, _):
            call.reject(.progMismatch(low: Mount.version1, high: Mount.version))
        default: call.reject(.progUnavail)
        }
    }

    func opened(_ connection: RPCHandler) {
        connections[ObjectIdentifier(connection)] = connection
    }

    /// Whether there are so many that none keeps memory that it does not fill.
    var isCrowded: Bool { connections.count > Self.crowd }

    private static let crowd = 64

    func closed(_ connection: RPCHandler) {
        // The end of its turn may never come.
        times.end()
        connections[ObjectIdentifier(connection)] = nil
    }

    /// All calls of one read have been looked at.
    func turnEnded() {
        times.end()
        nfs.turnEnded()
        polling?.turnEnded()
    }

    /// Connections whose calls were not looked at may go on.
    func resume() {
        for connection in connections.values { connection.resume() }
    }

    func event(_ text: String) { onEvent(text) }

    /// Closes every connection.
    func closeAll() {
        polling?.close()
        for connection in connections.values { connection.close() }
    }
}
