import NFSClient
import NFSProtocol
import NIOCore
import Netboot
import ROWProxy

/// The files of the sessions of machines, as their firmware gets them: read through the proxy, as the machines
/// will see them.
struct BootSessionFiles: BootFiles {
    let proxy: Proxy
    /// Where the proxy listens.
    let host: String

    /// What the links in a path may lead through.
    private static let linksMaximum = 40

    func open(_ path: String, for address: String) async throws -> (any BootFile)? {
        let session = await proxy.kernelSession(ofMachineAt: address)
        let url = NFSURL(
            host: host, port: proxy.port, mountPort: proxy.port, path: Array("/\(session)".utf8))
        let client = try await NFSClient.connect(url)
        do {
            guard let (handle, size) = try await Self.find(path, client) else {
                await client.close()
                return nil
            }
            return SessionFile(size: size, handle: handle, client: client)
        } catch {
            await client.close()
            throw error
        }
    }

    /// Finds a regular file. Links lead nowhere but within the image.
    private static func find(
        _ path: String, _ client: NFSClient
    ) async throws -> (NFS3.FileHandle, UInt64)? {
        var names = path.utf8.split(separator: UInt8(ascii: "/")).map(Array.init)
        var parents: [NFS3.FileHandle] = []
        var here = client.rootHandle
        var links = 0
        while !names.isEmpty {
            let name = names.removeFirst()
            if name == [UInt8(ascii: ".")] { continue }
            if name == Array("..".utf8) {
                here = parents.popLast() ?? client.rootHandle
                continue
            }
            let directory = here
            let found = try await patiently {
                try await client.lookup(NFS3.Filename(name), in: directory)
            }
            guard case .ok(let object) = found else { return nil }
            let attributes = try await attributes(object.object, client)
            switch attributes?.type {
            case .symbolicLink:
                links += 1
                let target = try await patiently { try await client.readlink(object.object) }
                guard links <= linksMaximum, case .ok(let link) = target else { return nil }
                let bytes = link.data.bytes
                if bytes.first == UInt8(ascii: "/") { (here, parents) = (client.rootHandle, []) }
                names = bytes.split(separator: UInt8(ascii: "/")).map(Array.init) + names
            case .directory:
                parents.append(here)
                here = object.object
            case .regular:
                guard names.isEmpty, let attributes else { return nil }
                return (object.object, attributes.size)
            default: return nil
            }
        }
        return nil
    }

    private static func attributes(
        _ handle: NFS3.FileHandle, _ client: NFSClient
    ) async throws -> NFS3.Attributes? {
        guard
            case .ok(let success) = try await patiently({ try await client.getattr(handle) })
        else { return nil }
        return success.attributes
    }

    /// Asks again while main is away: firmware would give up on an error.
    fileprivate static func patiently<OK, Failure>(
        _ call: () async throws -> NFS3.Outcome<OK, Failure>
    ) async throws -> NFS3.Outcome<OK, Failure> {
        while true {
            let outcome = try await call()
            guard outcome.status == .jukebox else { return outcome }
            try await Task.sleep(for: .seconds(1))
        }
    }
}

private struct SessionFile: BootFile {
    let size: UInt64
    let handle: NFS3.FileHandle
    let client: NFSClient

    func read(at offset: UInt64, count: Int) async throws -> ByteBuffer {
        var all = ByteBuffer()
        while all.readableBytes < count {
            let (next, wanted) = (offset + UInt64(all.readableBytes), count - all.readableBytes)
            var bytes = ByteBuffer()
            let result = try await BootSessionFiles.patiently {
                let reply = try await client.read(handle, offset: next, count: UInt32(wanted))
                bytes = reply.data
                return reply.result
            }
            guard case .ok = result, bytes.readableBytes > 0 else { break }
            all.writeBuffer(&bytes)
        }
        return all
    }

    func close() async { await client.close() }
}
