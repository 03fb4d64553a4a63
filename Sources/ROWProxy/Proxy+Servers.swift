public import NFSClient
import NIOCore

extension Proxy {
    /// Takes up servers that have the image too, besides those that it was started with; each is compared with what
    /// is known of the image before it is used.
    /// - Throws: `StateError` when one cannot be remembered.
    public func add(servers urls: [NFSURL]) async throws {
        let imageLoop = imageLoop
        try await imageLoop.eventLoop.submit {
            guard case .remote(let remote, _)? = imageLoop.value?.main.kind else { return }
            for url in urls { _ = try remote.add(url) }
        }.get()
    }
}
