public import NFSProtocol
public import NIOCore
import ONCRPC

/// Asks the port mapper of a host (RFC 1833 §3), over TCP.
public enum PortmapClient {
    /// The port of a program's version over TCP (GETPORT).
    /// - Parameter portmapPort: where the port mapper listens.
    /// - Returns: 1...65535.
    /// - Throws: ``NFSClientError/Code/portmapFailed``; `CancellationError`.
    public static func port(
        ofProgram program: UInt32, version: UInt32, host: String,
        portmapPort: Int = Int(Portmap.port), timeout: TimeAmount = .seconds(5),
        on eventLoop: any EventLoop
    ) async throws -> Int {
        var options = RPCConnection.Options()
        options.reconnection = .never
        options.reservedPort = .never
        options.connectTimeout = timeout
        let result: Portmap.Getport.Result
        do {
            let caller = try await RPCCaller.connect(
                host: host, port: portmapPort, options: options, on: eventLoop)
            result = try await caller.call(
                program: Portmap.program, version: Portmap.version,
                procedure: Portmap.Procedure.getport.rawValue, credential: .none,
                arguments: Portmap.Mapping(program: program, version: version, transport: .tcp),
                timeout: timeout, returning: Portmap.Getport.Result.self)
            await caller.close()
        } catch let error as NFSClientError {
            throw NFSClientError(
                .portmapFailed,
                "The port mapper of \(host) cannot be asked for the port of program \(program). "
                    + "\(error). Or give the port in the URL")
        }
        guard (1...65535).contains(result.port) else {
            throw NFSClientError(
                .portmapFailed,
                "The port mapper of \(host) does not know program \(program) version \(version) "
                    + "over TCP. Check that it runs there, or give its port in the URL")
        }
        return Int(result.port)
    }
}
