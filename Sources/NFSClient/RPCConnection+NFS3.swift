public import NFSProtocol
public import NIOCore
public import ONCRPC
public import XDR

extension RPCConnection {
    /// Calls an NFSv3 procedure (RFC 1813 §3.3); see
    /// ``call(program:version:procedure:credential:argumentsSize:encode:payload:timeout:completion:)``
    /// for what is common to all calls.
    /// - Parameter arguments: the procedure's `Arguments`.
    /// - Parameter payload: the data of WRITE.
    /// - Parameter completion: given the reply, from which ``RPCReply/decode(_:)`` reads the
    ///   procedure's `Result`.
    @inlinable
    @discardableResult
    public func nfs3<Arguments: XDREncodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, payload: ByteBuffer? = nil,
        credential: RPC.Credential, timeout: TimeAmount, completion: @escaping Completion
    ) -> CallID {
        call(
            program: NFS3.program, version: NFS3.version, procedure: procedure.rawValue,
            credential: credential, argumentsSize: arguments.encodedSize,
            encode: { arguments.encode(into: &$0) }, payload: payload, timeout: timeout,
            completion: completion)
    }
}
