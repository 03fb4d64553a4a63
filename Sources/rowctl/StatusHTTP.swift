import ArgumentParser
import Foundation
import ROWProxy
import ROWStatus

/// How things stand, by HTTP, for the verbs that serve.
enum StatusHTTP {
    /// Does something while the status of sessions is shown by HTTP, if that is wanted.
    /// - Parameter address: nil when it is not.
    /// - Parameter state: the state directory.
    /// - Parameter sessions: those that are served, or were meant to be, at the time.
    /// - Throws: `StatusServerError` when it cannot be shown; nothing is done then.
    static func show<T>(
        at address: ListenAddress?, of state: StateDirectory,
        by sessions: @escaping @Sendable () async -> [ServedSession],
        while work: () async throws -> T
    ) async throws -> T {
        try await show(
            at: address, of: state, proxies: { await sessions().compactMap(\.proxy) },
            leases: { await sessions().compactMap(\.lease) }, while: work)
    }

    /// The same for proxies however they are served, with the leases that they have.
    static func show<T>(
        at address: ListenAddress?, of state: StateDirectory,
        proxies: @escaping @Sendable () async -> [Proxy],
        leases: @escaping @Sendable () async -> [LeaseStatus], while work: () async throws -> T
    ) async throws -> T {
        guard let address else { return try await work() }
        let source = StatusSource(
            version: Rowctl.configuration.version, state: state.path, proxies: proxies,
            leases: leases)
        let server = try await StatusServer.start(
            host: address.host ?? "127.0.0.1", port: address.port, source)
        print("status: \(server.url)")
        flushStandardOutput()
        do {
            let result = try await work()
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }
}
