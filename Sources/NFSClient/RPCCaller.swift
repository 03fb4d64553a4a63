import NIOCore
import ONCRPC
import XDR

/// The `async` face of an ``RPCConnection``, for any task. Closes the connection when nobody holds it
/// any more.
final class RPCCaller: Sendable {
    let eventLoop: any EventLoop
    private let connection: NIOLoopBound<RPCConnection>

    /// - Parameter connection: the caller is on its event loop.
    private init(_ connection: RPCConnection) {
        eventLoop = connection.eventLoop
        self.connection = NIOLoopBound(connection, eventLoop: connection.eventLoop)
    }

    deinit {
        let connection = connection
        eventLoop.execute { connection.value.close() }
    }

    /// Connects to a server.
    /// - Throws: ``NFSClientError`` when the first attempt fails; `CancellationError`.
    static func connect(
        host: String, port: Int, options: RPCConnection.Options, on eventLoop: any EventLoop
    ) async throws -> RPCCaller {
        let caller = try await eventLoop.submit {
            RPCCaller(
                RPCConnection(host: host, port: port, options: options, eventLoop: eventLoop))
        }.get()
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    eventLoop.execute {
                        caller.loopConfined.connect { continuation.resume(with: $0) }
                    }
                }
            } onCancel: {
                eventLoop.execute { caller.loopConfined.close() }
            }
        } catch {
            try Task.checkCancellation()
            throw error
        }
        return caller
    }

    /// The connection itself.
    /// - Precondition: the caller is on ``eventLoop``.
    var loopConfined: RPCConnection { connection.value }

    private enum Progress {
        case issued(RPCConnection.CallID)
        case cancelled
    }

    /// Makes a call and waits for its reply.
    /// - Throws: ``NFSClientError``; `CancellationError` when the task is cancelled first.
    func call<Arguments: XDREncodable & Sendable>(
        program: UInt32, version: UInt32, procedure: UInt32, credential: RPC.Credential,
        arguments: Arguments, payload: ByteBuffer? = nil, timeout: TimeAmount
    ) async throws -> RPCReply {
        // Both closures below run on the loop, so whichever comes first is seen by the other.
        let progress = NIOLoopBoundBox.makeEmptyBox(
            valueType: Progress.self, eventLoop: eventLoop)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                eventLoop.execute {
                    guard progress.value == nil else {
                        continuation.resume(throwing: CancellationError())
                        return
                    }
                    let id = self.loopConfined.call(
                        program: program, version: version, procedure: procedure,
                        credential: credential, argumentsSize: arguments.encodedSize,
                        encode: { arguments.encode(into: &$0) }, payload: payload,
                        timeout: timeout
                    ) { result in
                        continuation.resume(
                            with: result.mapError { error -> any Error in
                                error.code == .cancelled ? CancellationError() : error
                            })
                    }
                    progress.value = .issued(id)
                }
            }
        } onCancel: {
            eventLoop.execute {
                if case .issued(let id) = progress.value {
                    self.loopConfined.cancel(id)
                } else {
                    progress.value = .cancelled
                }
            }
        }
    }

    /// Makes a call and reads its results.
    func call<Arguments: XDREncodable & Sendable, Results: XDRDecodable>(
        program: UInt32, version: UInt32, procedure: UInt32, credential: RPC.Credential,
        arguments: Arguments, timeout: TimeAmount, returning _: Results.Type
    ) async throws -> Results {
        try await call(
            program: program, version: version, procedure: procedure, credential: credential,
            arguments: arguments, timeout: timeout
        ).decode(Results.self)
    }

    /// Closes the connection; what waits fails with ``NFSClientError/Code/closed``.
    func close() async {
        await withCheckedContinuation { continuation in
            eventLoop.execute {
                self.loopConfined.close()
                continuation.resume()
            }
        }
    }
}
