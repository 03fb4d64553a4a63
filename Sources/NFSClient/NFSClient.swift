public import NFSProtocol
public import NIOCore
public import NIOPosix
public import ONCRPC

/// A client of one NFSv3 export over TCP (RFC 1813), for any Swift program.
///
/// Calls of many tasks share one connection and are pipelined. A lost connection is made again and
/// calls without a reply are sent again, until each one's timeout. NFS statuses are returned as
/// results; only failures of the transport are thrown, as ``NFSClientError``. A task that is
/// cancelled gets `CancellationError`; the server may still carry out its call.
///
/// Copies share the connection and may differ in ``credential`` and ``timeout``. The connection ends
/// with ``close()`` or with the last copy.
public struct NFSClient: Sendable {
    /// How to connect, and the defaults for calls.
    public struct Options: Sendable {
        public var connection = RPCConnection.Options()
        /// Who makes the calls; root unless told otherwise.
        public var credential = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))
        /// For each call, retransmissions included.
        public var timeout = TimeAmount.seconds(30)
        /// Where the port mapper listens, which is asked for ports that the URL does not give.
        public var portmapPort = Int(Portmap.port)

        public init() {}

        /// The same for an export that wants what its URL says.
        package func reaching(_ url: NFSURL) -> Options {
            var options = self
            options.connection.security = url.security
            return options
        }
    }

    /// Where NFS listens unless told otherwise.
    public static let defaultPort = 2049

    /// The handle of the exported directory.
    public let rootHandle: NFS3.FileHandle
    /// Who makes the calls.
    public var credential: RPC.Credential
    /// For each call, retransmissions included.
    public var timeout: TimeAmount

    let caller: RPCCaller

    /// Mounts an export and connects to it.
    /// - Parameter eventLoop: where the connection lives; it must outlive the client.
    /// - Throws: ``NFSClientError``; `CancellationError`.
    public static func connect(
        _ url: NFSURL, options: Options = Options(),
        on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws -> NFSClient {
        let options = options.reaching(url)
        let root = try await rootHandle(of: url, options: options, on: eventLoop)
        return try await connect(
            host: url.host, port: try await nfsPort(of: url, options: options, on: eventLoop),
            rootHandle: root, options: options, on: eventLoop)
    }

    /// Mounts an export, for its root handle alone: a server that was set up anew may know another
    /// than it did.
    /// - Throws: ``NFSClientError``; `CancellationError`.
    public static func rootHandle(
        of url: NFSURL, options: Options = Options(),
        on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws -> NFS3.FileHandle {
        let mount = try await MountClient.connect(
            host: url.host, port: url.mountPort, options: options.reaching(url), on: eventLoop)
        do {
            let mounted = try await mount.mount(Mount.DirectoryPath(url.path))
            await mount.close()
            return mounted.handle
        } catch {
            await mount.close()
            throw error
        }
    }

    /// Connects to an export whose root handle is known already.
    public static func connect(
        host: String, port: Int, rootHandle: NFS3.FileHandle, options: Options = Options(),
        on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws -> NFSClient {
        NFSClient(
            rootHandle: rootHandle, credential: options.credential, timeout: options.timeout,
            caller: try await RPCCaller.connect(
                host: host, port: port, options: options.connection, on: eventLoop))
    }

    private init(
        rootHandle: NFS3.FileHandle, credential: RPC.Credential, timeout: TimeAmount,
        caller: RPCCaller
    ) {
        self.rootHandle = rootHandle
        self.credential = credential
        self.timeout = timeout
        self.caller = caller
    }

    /// Where the connection lives.
    public var eventLoop: any EventLoop { caller.eventLoop }

    /// The connection itself, for callers on ``eventLoop`` that drive it by callbacks
    /// (``RPCConnection/nfs3(_:_:payload:credential:timeout:completion:)``).
    /// - Precondition: the caller is on ``eventLoop``.
    public var loopConfinedConnection: RPCConnection { caller.loopConfined }

    /// What happened on the connection so far.
    public func statistics() async throws -> RPCConnection.Statistics {
        try await eventLoop.submit { caller.loopConfined.statistics }.get()
    }

    /// Ends the connection; what waits fails with ``NFSClientError/Code/closed``.
    public func close() async { await caller.close() }

    /// A server without a port mapper most likely listens where all do.
    private static func nfsPort(
        of url: NFSURL, options: Options, on eventLoop: any EventLoop
    ) async throws -> Int {
        if let port = url.port { return port }
        do {
            return try await PortmapClient.port(
                ofProgram: NFS3.program, version: NFS3.version, host: url.host,
                portmapPort: options.portmapPort, timeout: options.connection.connectTimeout,
                on: eventLoop)
        } catch is NFSClientError {
            return defaultPort
        }
    }
}
