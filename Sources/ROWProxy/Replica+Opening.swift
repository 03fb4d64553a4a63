import NFSClient
import NFSProtocol
import NIOCore
import ROWCore

/// How a server of an image is reached.
extension Replica {
    /// Reached, and what its root is.
    struct Opened: Sendable {
        let client: NFSClient
        let attributes: NFS3.Attributes
    }

    /// Where it was when it was reached last.
    struct Known: Sendable {
        /// nil when the root's handle is not what it was.
        let port: Int?
        let root: NFS3.FileHandle
    }

    /// Connects to a server: to the port and with the root's handle that are known, or by MOUNT.
    static func open(
        _ url: NFSURL, _ options: NFSClient.Options, known: Known? = nil, on loop: any EventLoop
    ) async throws -> Opened {
        let options = options.reaching(url)
        if let known, let port = known.port {
            do {
                let client = try await NFSClient.connect(
                    host: url.host, port: port, rootHandle: known.root, options: options, on: loop)
                if case .ok(let ok) = try await client.getattr(client.rootHandle) {
                    return Opened(client: client, attributes: ok.attributes)
                }
                await client.close()
            } catch let error as NFSClientError {
                // Elsewhere it can only be where the port mapper tells.
                if url.port != nil { throw error }
            }
        }
        let client = try await NFSClient.connect(url, options: options, on: loop)
        switch try await client.getattr(client.rootHandle) {
        case .ok(let ok): return Opened(client: client, attributes: ok.attributes)
        case .failure(let status, _):
            await client.close()
            throw StateError(
                .notFound, "\(url) answers \(status) for its root; check the export")
        }
    }

    /// Connects to the first of several servers that answers.
    /// - Throws: why none does.
    static func first(
        of urls: [NFSURL], _ options: NFSClient.Options, on loop: any EventLoop
    ) async throws -> (index: Int, opened: Opened) {
        try await withThrowingTaskGroup(
            of: (index: Int, result: Result<Opened, any Error>).self
        ) { group in
            for (index, url) in urls.enumerated() {
                group.addTask {
                    do {
                        return (index, .success(try await open(url, options, on: loop)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            var errors: [Int: any Error] = [:]
            for try await (index, result) in group {
                switch result {
                case .success(let opened):
                    group.cancelAll()
                    return (index, opened)
                case .failure(let error): errors[index] = error
                }
            }
            try Task.checkCancellation()
            if errors.count == 1, let only = errors[0] { throw only }
            let reasons = errors.sorted { $0.key < $1.key }.map { "\(urls[$0.key]): \($0.value)" }
            throw StateError(
                .notFound,
                "none of the image's servers can be used, and nothing of it is known here yet. "
                    + reasons.joined(separator: "; "))
        }
    }
}
