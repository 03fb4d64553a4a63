public import NFSProtocol
public import NIOCore
public import ONCRPC
import XDR

/// A client of the MOUNT program, version 3 (RFC 1813 §5).
public struct MountClient: Sendable {
    /// Who makes the calls.
    public var credential: RPC.Credential
    /// For each call.
    public var timeout: TimeAmount

    private let caller: RPCCaller

    /// Connects to a server's MOUNT program.
    /// - Parameter port: where it listens; nil asks the port mapper.
    /// - Throws: ``NFSClientError`` when there is no connection; `CancellationError`.
    public static func connect(
        host: String, port: Int?, options: NFSClient.Options = NFSClient.Options(),
        on eventLoop: any EventLoop
    ) async throws -> MountClient {
        let known: Int
        if let port {
            known = port
        } else {
            known = try await PortmapClient.port(
                ofProgram: Mount.program, version: Mount.version, host: host,
                portmapPort: options.portmapPort, timeout: options.connection.connectTimeout,
                on: eventLoop)
        }
        var connection = options.connection
        connection.reconnection = .never
        connection.probe = (Mount.program, Mount.version)
        return MountClient(
            credential: options.credential, timeout: options.timeout,
            caller: try await RPCCaller.connect(
                host: host, port: known, options: connection, on: eventLoop))
    }

    private init(credential: RPC.Credential, timeout: TimeAmount, caller: RPCCaller) {
        self.credential = credential
        self.timeout = timeout
        self.caller = caller
    }

    /// The handle of an exported directory (MNT, RFC 1813 §5.2.1).
    /// - Parameter path: of the export or of a directory below it.
    /// - Throws: ``NFSClientError/Code/mountRefused(_:)`` when the server says no.
    public func mount(_ path: Mount.DirectoryPath) async throws -> Mount.Mnt.Success {
        switch try await call(.mnt, path, returning: Mount.Mnt.Result.self) {
        case .ok(let mounted): return mounted
        case .failure(let status):
            throw NFSClientError(
                .mountRefused(status),
                "The server does not let us mount \(path): \(status)\(Self.advice(on: status))")
        }
    }

    /// Tells the server to forget a mount (UMNT, RFC 1813 §5.2.3).
    public func unmount(_ path: Mount.DirectoryPath) async throws {
        _ = try await call(.umnt, path, returning: Mount.Umnt.Result.self)
    }

    /// What may be mounted (EXPORT, RFC 1813 §5.2.5).
    public func exports() async throws -> [Mount.Export.Entry] {
        try await call(.export, XDRVoid(), returning: Mount.Export.Result.self).entries
    }

    /// Ends the connection.
    public func close() async { await caller.close() }

    private func call<Arguments: XDREncodable & Sendable, Results: XDRDecodable>(
        _ procedure: Mount.Procedure, _ arguments: Arguments, returning results: Results.Type
    ) async throws -> Results {
        try await caller.call(
            program: Mount.program, version: Mount.version, procedure: procedure.rawValue,
            credential: credential, arguments: arguments, timeout: timeout, returning: results)
    }

    private static func advice(on status: Mount.Status) -> String {
        switch status {
        case .noent: ". Check the path; showmount -e lists the exports"
        case .acces, .perm:
            ". Check that the export admits this host; a \"secure\" export needs a client with "
                + "root's ports"
        case .notdir: ". Only directories can be mounted"
        default: ""
        }
    }
}
