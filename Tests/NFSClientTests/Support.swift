import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit

extension SimulatedNFSServer {
    /// A client of this server, through another port where one is given.
    func client(
        port: Int? = nil, _ configure: (inout NFSClient.Options) -> Void = { _ in }
    ) async throws -> NFSClient {
        var options = NFSClient.Options()
        options.connection.reconnection = .backoff(
            first: .milliseconds(5), maximum: .milliseconds(50))
        configure(&options)
        guard let root = handle("") else { throw MissingObject(path: "/") }
        return try await NFSClient.connect(
            host: "127.0.0.1", port: port ?? self.port, rootHandle: root, options: options)
    }

    func existing(_ path: String) throws -> NFS3.FileHandle {
        guard let handle = handle(path) else { throw MissingObject(path: path) }
        return handle
    }
}

struct MissingObject: Error {
    let path: String
}

/// An NFS status where a test wants success.
struct UnexpectedStatus: Error {
    let status: NFS3.Status
}

extension NFS3.Outcome {
    /// The successful arm.
    var success: OK {
        get throws {
            switch self {
            case .ok(let ok): return ok
            case .failure(let status, _): throw UnexpectedStatus(status: status)
            }
        }
    }
}

extension NFSClient {
    /// The same client with another timeout.
    func hasty(_ timeout: TimeAmount) -> NFSClient {
        var copy = self
        copy.timeout = timeout
        return copy
    }

    /// A whole file, with READs of `count` bytes, all of them in flight at once.
    func contents(of file: NFS3.FileHandle, size: Int, count: Int) async throws -> [UInt8] {
        try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
            for offset in stride(from: 0, to: size, by: count) {
                group.addTask {
                    let (result, data) = try await read(
                        file, offset: UInt64(offset), count: UInt32(min(count, size - offset)))
                    _ = try result.success
                    return (offset, Array(data.readableBytesView))
                }
            }
            var bytes = [UInt8](repeating: 0, count: size)
            for try await (offset, piece) in group {
                bytes.replaceSubrange(offset..<offset + piece.count, with: piece)
            }
            return bytes
        }
    }
}
