import Dispatch
import Glibc
import ROWCore

#if canImport(CTirpc)
    import CTirpc
#endif

/// Registration with the port mapper that runs on this machine (rpcbind), through libtirpc.
///
/// Imports libtirpc, whose C type XDR hides our module of that name: never import that here.
struct RPCBind: Sendable {
    /// A version of a program, served over TCP.
    struct Service: Hashable, Sendable {
        let program: UInt32
        let version: UInt32
    }

    private let services: [Service]

    #if canImport(CTirpc)
        /// Registers services, all or none.
        /// - Throws: `StateError` when rpcbind does not run, or refuses.
        static func register(_ services: [Service], port: Int) async throws -> RPCBind {
            try await onThread {
                var registered: [Service] = []
                for service in services {
                    guard
                        pmap_set(
                            UInt(service.program), UInt(service.version), Int32(IPPROTO_TCP),
                            Int32(port)) != 0
                    else {
                        unset(registered)
                        throw refusal(of: service)
                    }
                    registered.append(service)
                }
            }
            return RPCBind(services: services)
        }

        /// Takes the registrations back.
        func unregister() async {
            let services = services
            try? await Self.onThread { Self.unset(services) }
        }

        private static func unset(_ services: [Service]) {
            for service in services { _ = pmap_unset(UInt(service.program), UInt(service.version)) }
        }

        /// Why a registration failed, which libtirpc does not tell.
        private static func refusal(of service: Service) -> StateError {
            let what = "program \(service.program) version \(service.version)"
            let holder = port(of: service)
            if holder != 0 {
                return StateError(
                    .io,
                    "rpcbind has \(what) registered for port \(holder) already; stop that "
                        + "server, or run without --register"
                )
            }
            // A port mapper lists itself, so the answer tells whether there is one.
            guard port(of: Service(program: 100_000, version: 2)) != 0 else {
                return StateError(
                    .io,
                    "no rpcbind answers on this machine, so nothing can be registered; start "
                        + "it, or use --portmap to answer in its place"
                )
            }
            return StateError(
                .io, "rpcbind refuses to register \(what); it takes registrations from root only")
        }

        /// Asks the port mapper of 127.0.0.1; 0 when it does not know, or does not answer.
        private static func port(of service: Service) -> UInt16 {
            // A sockaddr_in: the family in the machine's order, then the port, which libtirpc fills in,
            // and the address.
            withUnsafeTemporaryAllocation(
                byteCount: MemoryLayout<sockaddr_in>.size,
                alignment: MemoryLayout<sockaddr_in>.alignment
            ) { memory in
                memory.initializeMemory(as: UInt8.self, repeating: 0)
                memory.storeBytes(of: sa_family_t(AF_INET), as: sa_family_t.self)
                memory.storeBytes(
                    of: UInt32(0x7f00_0001).bigEndian, toByteOffset: 4, as: UInt32.self)
                return pmap_getport(
                    memory.bindMemory(to: sockaddr_in.self).baseAddress, UInt(service.program),
                    UInt(service.version), UInt32(IPPROTO_TCP))
            }
        }

        /// libtirpc waits for answers, so it gets a thread.
        private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
            try await withCheckedThrowingContinuation {
                (done: CheckedContinuation<Void, any Error>) in
                DispatchQueue.global().async { done.resume(with: Result { try body() }) }
            }
        }
    #else
        /// Without libtirpc nothing can be registered.
        static func register(_ services: [Service], port: Int) async throws -> RPCBind {
            throw ConfigurationError(
                message:
                    "this rowctl was built without libtirpc and cannot register with rpcbind: leave "
                    + "--register out, or use --portmap to answer in its place")
        }

        func unregister() async {}
    #endif
}
