public import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
public import ROWCore

/// An export of an NFS server as an image (RFC 1813), for `Image.open(_:state:options:)`.
///
/// It connects when it is first asked and again after every loss, so an image that was open before can
/// be opened while its server is away. A handle that the server no longer knows is found again by the
/// object's path. A file that is not what it was when first seen answers STALE. Where root is refused,
/// the object's owner asks once more.
public actor NFSImageSource: ImageSource {
    /// The URL without its mount port: the same however the export is mounted.
    public nonisolated let name: String

    private let url: NFSURL
    private let options: NFSClient.Options
    private let onEvent: @Sendable (String) -> Void
    private var connection: Task<NFSClient, any Error>?
    /// Handles that were looked up again, by path; those of the image's store no longer work.
    private var handles: [[UInt8]: NFS3.FileHandle] = [:]
    /// How far the listing of each directory has come.
    var imports: [ImportKey: Import] = [:]

    private static let handlesMaximum = 16_384

    /// - Parameter options: who calls the server, and how long a call may take.
    /// - Parameter onEvent: told why the server could not answer.
    public init(
        _ url: NFSURL, options: NFSClient.Options = NFSClient.Options(),
        onEvent: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.url = url
        self.options = options
        self.onEvent = onEvent
        name = NFSURL(host: url.host, port: url.port, path: url.path).description
    }

    public func rootEntry() async throws(ROWError) -> MainEntry {
        let client = try await connected()
        let result = try await transport { try await client.getattr(client.rootHandle) }
        switch result {
        case .ok(let ok): return MainEntry(attributes: ok.attributes, handle: client.rootHandle)
        case .failure(let status, _):
            throw ROWError(
                .status(status), "\(name) answers \(status) for its root; check the export")
        }
    }

    public func perform(_ fetch: Fetch, on object: ImageObject) async -> FetchResult {
        do {
            switch fetch {
            case .lookup(_, let name):
                let entry = try await withHandle(of: object) { client, handle in
                    try await self.entry(NFS3.Filename(name), in: handle, client)
                }
                return .entry(entry)
            case .target:
                let ok = try await withHandle(of: object) { client, handle in
                    try await client.readlink(handle).value
                }
                return .target(ok.data.bytes)
            case .listing:
                return try await page(of: object)
            }
        } catch {
            return .failed(error.status)
        }
    }

    public func read(
        _ object: ImageObject, _ range: Range<UInt64>
    ) async throws(ROWError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        while bytes.count < range.count {
            let offset = range.lowerBound + UInt64(bytes.count)
            let count = min(range.count - bytes.count, NFS3.transferSizeMaximum)
            let (ok, data) = try await withHandle(of: object) { client, handle in
                let (result, data) = try await client.read(
                    handle, offset: offset, count: UInt32(count))
                return (try result.value, data)
            }
            // All of the range lies below the size that the image is known to have.
            guard data.readableBytes > 0,
                ok.attributes.map({ object.attributes.isSameObject(as: $0) }) ?? true
            else { throw changedUnderUs(object) }
            bytes += data.readableBytesView.prefix(count)
        }
        return bytes
    }

    public func release(image: UInt64) async {
        imports = imports.filter { $0.key.image != image }
        await disconnect()
    }

    // MARK: Connecting

    private func connected() async throws(ROWError) -> NFSClient {
        let task =
            connection
            ?? Task { [url, options] in try await NFSClient.connect(url, options: options) }
        connection = task
        do {
            return try await task.value
        } catch {
            // Not that of somebody who has begun anew.
            if connection == task { connection = nil }
            throw failure(error)
        }
    }

    private func disconnect() async {
        guard let connection else { return }
        self.connection = nil
        if let client = try? await connection.value { await client.close() }
    }

    private func transport<T>(_ body: () async throws -> T) async throws(ROWError) -> T {
        do { return try await body() } catch { throw failure(error) }
    }

    private func failure(_ error: any Error) -> ROWError {
        if let error = error as? ROWError { return error }
        guard let error = error as? NFSClientError else {
            return ROWError(.status(.jukebox), "\(name): \(error)")
        }
        onEvent("\(name): \(error)")
        let status: NFS3.Status =
            switch error.code {
            case .mountRefused: .acces
            case .malformedReply, .rpcFailed, .rpcRejected: .io
            default: .jukebox
            }
        return ROWError(.status(status), "\(name): \(error)")
    }

    private func changedUnderUs(_ object: ImageObject) -> ROWError {
        let path = String(decoding: object.path, as: UTF8.self)
        onEvent("the image changed under us: /\(path) of \(name)")
        return ROWError(.stale)
    }

    // MARK: Handles

    /// Runs a call on an object, with a new handle when the server has forgotten the one that is known,
    /// and as the object's owner when the caller is refused.
    /// - Throws: what the call answered in the end.
    func withHandle<T: Sendable>(
        of object: ImageObject,
        _ call: (NFSClient, NFS3.FileHandle) async throws -> T
    ) async throws(ROWError) -> T {
        var client = try await connected()
        var handle = try await handle(of: object, client)
        var isFresh = false
        var isOwner = false
        while true {
            do {
                return try await call(client, handle)
            } catch let refusal as Refusal {
                switch refusal.status {
                case .stale, .badHandle:
                    guard !isFresh else { throw ROWError(.stale) }
                    isFresh = true
                    let credential = client.credential
                    (client, handle) = try await findAgain(object)
                    client.credential = credential
                case .acces:
                    let owner = RPC.Credential.sys(
                        RPC.AuthSys(uid: object.attributes.uid, gid: object.attributes.gid))
                    guard !isOwner, owner != client.credential else {
                        throw ROWError(
                            .status(.acces),
                            "\(name) refuses to show \(object.text); export it with no_root_squash"
                        )
                    }
                    isOwner = true
                    client.credential = owner
                case let status: throw ROWError(status)
                }
            } catch {
                throw failure(error)
            }
        }
    }

    private func handle(
        of object: ImageObject, _ client: NFSClient
    ) async throws(ROWError) -> NFS3.FileHandle {
        if object.path.isEmpty { return client.rootHandle }
        if let handle = handles[object.path] ?? object.handle { return handle }
        return try await findAgain(object).handle
    }

    /// Looks an object up by its path, from the root on; mounts anew when even the root is forgotten.
    private func findAgain(
        _ object: ImageObject
    ) async throws(ROWError) -> (client: NFSClient, handle: NFS3.FileHandle) {
        var client = try await connected()
        let used = connection
        do {
            return (client, try await walk(to: object, client))
        } catch {
            guard error.code == .status(.stale) || error.code == .status(.badHandle) else {
                throw error
            }
            // Only a server that does not know its root any more is to be mounted again; and only
            // once, however many find out.
            let root = client
            let known = try await transport { try await root.getattr(root.rootHandle) }
            if known.status == .ok { throw error }
        }
        if connection == used { await disconnect() }
        client = try await connected()
        return (client, try await walk(to: object, client))
    }

    private func walk(
        to object: ImageObject, _ client: NFSClient
    ) async throws(ROWError) -> NFS3.FileHandle {
        var found = MainEntry(attributes: object.attributes, handle: client.rootHandle)
        if object.path.isEmpty {
            let result = try await transport { try await client.getattr(client.rootHandle) }
            guard result.status == .ok else { throw ROWError(result.status) }
            return client.rootHandle
        }
        for name in object.path.split(separator: UInt8(ascii: "/")) {
            guard let directory = found.handle else { throw ROWError(.serverFault) }
            let next: MainEntry?
            do {
                next = try await entry(NFS3.Filename(Array(name)), in: directory, client)
            } catch let refusal as Refusal {
                throw ROWError(refusal.status)
            } catch {
                throw failure(error)
            }
            guard let next else { throw changedUnderUs(object) }
            found = next
        }
        guard let handle = found.handle, object.attributes.isSameObject(as: found.attributes)
        else { throw changedUnderUs(object) }
        if handles.count >= Self.handlesMaximum { handles.removeAll(keepingCapacity: true) }
        handles[object.path] = handle
        return handle
    }

    /// LOOKUP, and GETATTR where that left the attributes out.
    /// - Returns: nil when there is no such name.
    /// - Throws: ``Refusal``, or what the transport throws.
    nonisolated func entry(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, _ client: NFSClient
    ) async throws -> MainEntry? {
        let result = try await client.lookup(name, in: directory)
        guard result.status != .noent else { return nil }
        let ok = try result.value
        if let attributes = ok.attributes {
            return MainEntry(attributes: attributes, handle: ok.object)
        }
        let attributes = try await client.getattr(ok.object).value.attributes
        return MainEntry(attributes: attributes, handle: ok.object)
    }
}

/// A status that is not ok, on its way out of a call.
struct Refusal: Error {
    let status: NFS3.Status
}

extension NFS3.Outcome {
    /// The successful arm.
    /// - Throws: ``Refusal``.
    var value: OK {
        get throws {
            switch self {
            case .ok(let ok): return ok
            case .failure(let status, _): throw Refusal(status: status)
            }
        }
    }
}

extension ROWError {
    /// What a client of a session is told.
    fileprivate var status: NFS3.Status {
        if case .status(let status) = code { status } else { .serverFault }
    }
}

extension ImageObject {
    /// The path for people.
    fileprivate var text: String { "/" + String(decoding: path, as: UTF8.self) }
}
