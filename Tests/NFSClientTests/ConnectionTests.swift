import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ONCRPC
import ROWTestKit
import Testing
import XDR

/// The callback API, on its event loop.
@Suite struct ConnectionTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    /// Runs `body` with a connection on its loop; `body` fulfils the promise.
    private func onConnection<Value: Sendable>(
        port: Int, options: RPCConnection.Options = RPCConnection.Options(),
        _ body: @escaping @Sendable (RPCConnection, EventLoopPromise<Value>) -> Void
    ) async throws -> Value {
        let promise = loop.makePromise(of: Value.self)
        let loop = loop
        loop.execute {
            let connection = RPCConnection(
                host: "127.0.0.1", port: port, options: options, eventLoop: loop)
            body(connection, promise)
            promise.futureResult.assumeIsolated().whenComplete { _ in connection.close() }
        }
        return try await promise.futureResult.get()
    }

    private static let credential = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))

    @Test func callsBeyondTheCapWaitInOrderAndAllEnd() async throws {
        let server = try await SimulatedNFSServer.start()
        let root = try server.existing("")
        var options = RPCConnection.Options()
        options.callsInFlightMaximum = 5
        let order = try await onConnection(port: server.port, options: options) {
            (connection, promise: EventLoopPromise<[Int]>) in
            var order: [Int] = []
            for index in 0..<100 {
                connection.nfs3(
                    .getattr, NFS3.Getattr.Arguments(object: root), credential: Self.credential,
                    timeout: .seconds(20)
                ) { result in
                    if case .failure(let error) = result { promise.fail(error) }
                    precondition(connection.callsInFlight <= 5)
                    order.append(index)
                    if order.count == 100 { promise.succeed(order) }
                }
            }
            precondition(connection.callsInFlight == 5 && connection.callsWaiting == 95)
        }
        #expect(order == Array(0..<100))
        #expect(server.calls(.getattr) == 100)
        try await server.stop()
    }

    @Test func theBytesInFlightAreCappedButOneCallIsLetThrough() async throws {
        let server = try await SimulatedNFSServer.start()
        let hello = try server.existing("hello")
        var options = RPCConnection.Options()
        options.bytesInFlightMaximum = 100_000
        let statuses = try await onConnection(port: server.port, options: options) {
            (connection, promise: EventLoopPromise<[NFS3.Status]>) in
            var statuses: [NFS3.Status] = []
            for (index, size) in [200_000, 200_000, 30_000, 30_000, 30_000].enumerated() {
                connection.nfs3(
                    .write,
                    NFS3.Write.Arguments(
                        file: hello, offset: 0, count: UInt32(size), stable: .unstable,
                        data: 0..<size),
                    payload: ByteBuffer(repeating: 1, count: size), credential: Self.credential,
                    timeout: .seconds(20)
                ) { result in
                    let decoded = result.flatMap { reply -> Result<NFS3.Status, NFSClientError> in
                        do throws(NFSClientError) {
                            return .success(try reply.decode(NFS3.Write.Result.self).status)
                        } catch {
                            return .failure(error)
                        }
                    }
                    switch decoded {
                    case .success(let status): statuses.append(status)
                    case .failure(let error): promise.fail(error)
                    }
                    if index == 4 { promise.succeed(statuses) }
                }
            }
            precondition(connection.callsInFlight == 1)
        }
        #expect(statuses == Array(repeating: .rofs, count: 5))
        try await server.stop()
    }

    @Test func aFullQueueFailsAtOnceButNotBeforeTheCallReturns() async throws {
        let server = try await SimulatedNFSServer.start()
        server.setSilent(true)
        var options = RPCConnection.Options()
        options.callsInFlightMaximum = 1
        options.callsWaitingMaximum = 1
        let error = try await onConnection(port: server.port, options: options) {
            (connection, promise: EventLoopPromise<NFSClientError?>) in
            var isReturned = false
            for _ in 0..<3 {
                connection.nfs3(
                    .null, XDRVoid(), credential: .none, timeout: .seconds(20)
                ) { result in
                    guard case .failure(let error) = result, error.code == .queueFull else {
                        return
                    }
                    promise.succeed(isReturned ? error : nil)
                }
            }
            isReturned = true
        }
        #expect(error?.code == .queueFull)
        try await server.stop()
    }

    @Test func waitingCallsExpireToo() async throws {
        let server = try await SimulatedNFSServer.start()
        server.setSilent(true)
        var options = RPCConnection.Options()
        options.callsInFlightMaximum = 1
        let codes = try await onConnection(port: server.port, options: options) {
            (connection, promise: EventLoopPromise<[NFSClientError.Code]>) in
            var codes: [NFSClientError.Code] = []
            for _ in 0..<4 {
                connection.nfs3(
                    .null, XDRVoid(), credential: .none, timeout: .milliseconds(50)
                ) { result in
                    if case .failure(let error) = result { codes.append(error.code) }
                    if codes.count == 4 { promise.succeed(codes) }
                }
            }
        }
        #expect(codes == Array(repeating: .timedOut, count: 4))
        try await server.stop()
    }

    @Test func withoutReconnectionALossFailsEveryCall() async throws {
        let server = try await SimulatedNFSServer.start()
        server.inject(.disconnect, on: .null)
        var options = RPCConnection.Options()
        options.reconnection = .never
        let (code, last) = try await onConnection(port: server.port, options: options) {
            (connection, promise: EventLoopPromise<(NFSClientError.Code?, NFSClientError?)>) in
            connection.nfs3(
                .null, XDRVoid(), credential: .none, timeout: .seconds(20)
            ) { result in
                guard case .failure(let error) = result else { return promise.succeed((nil, nil)) }
                promise.succeed((error.code, connection.lastError))
            }
        }
        #expect(code == .connectionLost)
        #expect(last?.code == .connectionLost)
        try await server.stop()
    }

    @Test func refusalsOfTheRPCLayerAreErrors() async throws {
        let server = try await SimulatedNFSServer.start()
        let refusals: [(UInt32, UInt32, UInt32, RPC.Credential, NFSClientError.Code)] = [
            (100_021, 4, 0, .none, .rpcFailed(.progUnavail)),
            (100_003, 4, 0, .none, .rpcFailed(.progMismatch(low: 3, high: 3))),
            (100_003, 3, 22, .none, .rpcFailed(.procUnavail)),
            (100_003, 3, 1, .none, .rpcFailed(.garbageArgs)),
            (100_003, 3, 1, .other(flavor: 6), .rpcRejected(.authError(5))),
        ]
        for (program, version, procedure, credential, expected) in refusals {
            let code = try await onConnection(port: server.port) {
                (connection, promise: EventLoopPromise<NFSClientError.Code?>) in
                connection.call(
                    program: program, version: version, procedure: procedure,
                    credential: credential, argumentsSize: 0, encode: { _ in },
                    timeout: .seconds(20)
                ) { result in
                    guard case .failure(let error) = result else { return promise.succeed(nil) }
                    promise.succeed(error.code)
                }
            }
            #expect(code == expected)
        }
        try await server.stop()
    }

    @Test func closingInsideACompletionIsSafe() async throws {
        let server = try await SimulatedNFSServer.start()
        let codes = try await onConnection(port: server.port) {
            (connection, promise: EventLoopPromise<[NFSClientError.Code?]>) in
            var codes: [NFSClientError.Code?] = []
            for _ in 0..<10 {
                connection.nfs3(
                    .null, XDRVoid(), credential: .none, timeout: .seconds(20)
                ) { result in
                    switch result {
                    case .success: codes.append(nil)
                    case .failure(let error): codes.append(error.code)
                    }
                    connection.close()
                    if codes.count == 10 { promise.succeed(codes) }
                }
            }
        }
        #expect(codes == [nil] + Array(repeating: .closed, count: 9))
        try await server.stop()
    }

    @Test func rootCallsFromAReservedPortBeforeAndAfterALoss() async throws {
        try #require(geteuid() == 0, "run the tests as root")
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        try await client.null()
        #expect(server.clientPorts.allSatisfy { (665...1023).contains($0) })
        server.inject(.disconnect, on: .null)
        try await client.null()
        #expect(try await client.statistics().reconnects == 1)
        #expect(server.clientPorts.allSatisfy { (665...1023).contains($0) })

        let ordinary = try await server.client { $0.connection.reservedPort = .never }
        try await ordinary.null()
        #expect(server.clientPorts.contains { $0 >= 1024 })
        await client.close()
        await ordinary.close()
        try await server.stop()
    }
}
