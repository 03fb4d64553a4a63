import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ROWProxy

/// What this machine's port mapper tells clients.
enum PortMapperCheck {
    private static let services: [Service] = [
        ("NFS", NFS3.program, NFS3.version), ("MOUNT", Mount.program, Mount.version),
    ]

    private typealias Service = (name: String, program: UInt32, version: UInt32)

    static func findings(
        _ plan: Plan, _ surroundings: Surroundings, _ listeners: Listeners
    ) async -> [Finding] {
        let image = plan.images.first(where: \.registers)
        let subject = "127.0.0.1:\(surroundings.portmapPort)"
        guard await accepts(surroundings.portmapPort, surroundings) else {
            guard let image else {
                return [
                    .fine(
                        .portMapper, subject,
                        "there is none: clients give port and mountport, as mount commands here do")
                ]
            }
            return [
                .problem(
                    .portMapper, subject, "no port mapper answers",
                    because: "\(image.title) is to be registered there, and is not served",
                    remedy: "apt install rpcbind && systemctl start rpcbind, or set "
                        + "\(image.setting("portmap")) in place of \(image.setting("register"))")
            ]
        }
        // A port mapper lists itself.
        guard await port(of: ("", Portmap.program, Portmap.version), surroundings) != nil else {
            return [silent(image, subject)]
        }
        var findings: [Finding] = []
        for service in services {
            guard let port = await port(of: service, surroundings) else { continue }
            if await !accepts(port, surroundings) {
                findings.append(stale(service, port, subject))
            } else if let image, !isOurs(port, plan, listeners) {
                findings.append(taken(service, port, image, subject))
            }
        }
        return findings.isEmpty
            ? [.fine(.portMapper, subject, "a port mapper answers, and sends nobody astray")]
            : findings
    }

    private static func silent(
        _ image: Plan.Image?, _ subject: String
    ) -> Finding {
        let found = "what listens there does not answer as a port mapper"
        let remedy = "systemctl restart rpcbind"
        if let image {
            return .problem(
                .portMapper, subject, found, because: "\(image.title) cannot be registered",
                remedy: remedy)
        }
        return .warning(
            .portMapper, subject, found, because: "clients without 'mountport' wait for it",
            remedy: remedy)
    }

    private static func stale(
        _ service: Service, _ port: Int, _ subject: String
    ) -> Finding {
        .warning(
            .portMapper, subject,
            "it sends clients of \(service.name) to port \(port), where nobody listens",
            because: "a client that asks it mounts nothing, and rowctl cannot register there",
            // Asked for one version it tells of another.
            remedy: service.program == Mount.program
                ? "rpcinfo -d \(service.program) 1; rpcinfo -d \(service.program) 3"
                : "rpcinfo -d \(service.program) \(service.version)")
    }

    private static func taken(
        _ service: Service, _ port: Int,
        _ image: Plan.Image, _ subject: String
    ) -> Finding {
        .problem(
            .portMapper, subject, "another server's \(service.name) is registered, at port \(port)",
            because: "\(image.title) cannot be registered beside it",
            remedy: "stop that server, or leave \(image.setting("register")) out")
    }

    private static func isOurs(_ port: Int, _ plan: Plan, _ listeners: Listeners) -> Bool {
        guard let serving = listeners.processes.serving(plan.state.path) else { return false }
        return listeners.holders { $0.port == port && $0.transport == .tcp }
            .contains { $0.id == serving.id }
    }

    private static func port(
        of service: Service, _ surroundings: Surroundings
    ) async -> Int? {
        try? await PortmapClient.port(
            ofProgram: service.program, version: service.version, host: "127.0.0.1",
            portmapPort: surroundings.portmapPort, timeout: surroundings.timeout,
            on: MultiThreadedEventLoopGroup.singleton.next())
    }

    private static func accepts(_ port: Int, _ surroundings: Surroundings) async -> Bool {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(surroundings.timeout)
        guard let channel = try? await bootstrap.connect(host: "127.0.0.1", port: port).get() else {
            return false
        }
        try? await channel.close()
        return true
    }
}

extension Surroundings {
    /// The same for calls.
    var timeout: TimeAmount { TimeAmount(patience) }
}
