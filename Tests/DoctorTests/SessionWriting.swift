import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit

/// Writes a file into a session, as a client.
func write(_ name: String, _ text: String, _ served: RowctlProcess) async throws {
    let client = try await NFSClient.connect(try NFSURL(served.export.url))
    let created = try await client.create(
        NFS3.Filename(Array(name.utf8)), in: client.rootHandle,
        .unchecked(NFS3.SetAttributes(mode: 0o600)))
    guard case .ok(let file) = created, let handle = file.handle else { throw NotWritten() }
    let written = try await client.write(
        handle, offset: 0, data: ByteBuffer(string: text), stable: .fileSync)
    guard case .ok = written else { throw NotWritten() }
    await client.close()
}

struct NotWritten: Error {}
