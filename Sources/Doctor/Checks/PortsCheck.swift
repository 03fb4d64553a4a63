import Glibc
import ROWProxy

/// Whether the ports that are to be listened on can be.
enum PortsCheck {
    /// A port that somebody is to listen on.
    private struct Wanted {
        let address: ListenAddress
        let transport: ListeningSocket.Transport
        /// What does not work without it.
        let purpose: String
        /// How to have another one; nil where that is not possible.
        let setting: String?
        /// What helps besides.
        var hint: String?
        /// The name of a program that is to have it.
        var program = "rowctl"

        var title: String { "\(address) (\(transport.rawValue))" }
        var alternative: String? { setting.map { "change \($0)" } ?? hint }
    }

    static func findings(_ plan: Plan, _ listeners: Listeners) -> [Finding] {
        let wanted = wanted(plan)
        let doubles = Dictionary(grouping: wanted, by: \.title).values.filter { $0.count > 1 }
        return doubles.map(double)
            + wanted.map { finding($0, plan, listeners) }
    }

    private static func wanted(_ plan: Plan) -> [Wanted] {
        var all: [Wanted] = []
        for image in plan.images {
            if let address = image.listen, address.port != 0 {
                all.append(
                    Wanted(
                        address: address, transport: .tcp,
                        purpose: "clients cannot reach \(image.title)",
                        setting: image.setting("listen")))
            }
            for transport in image.portmap == nil ? [] : ListeningSocket.Transport.allCases {
                guard let address = image.portmap else { continue }
                all.append(
                    Wanted(
                        address: address, transport: transport,
                        purpose: "clients without 'mountport' do not find \(image.title)",
                        setting: image.setting("portmap")))
            }
        }
        if let address = plan.http, address.port != 0 {
            all.append(
                Wanted(
                    address: address, transport: .tcp, purpose: "there is no status page",
                    setting: "'http'" + (plan.httpPlace.map { " (\($0))" } ?? "")))
        }
        return plan.bootsMachines ? all + ofMachines : all
    }

    /// What machines that boot ask for.
    private static let ofMachines =
        [(67, "address (DHCP)"), (69, "loader (TFTP)")].map { port, what in
            Wanted(
                address: ListenAddress(port: port), transport: .udp,
                purpose: "machines get no \(what)", setting: nil, program: "dnsmasq")
        }
        + ListeningSocket.Transport.allCases.map { transport in
            Wanted(
                address: ListenAddress(port: 111), transport: transport,
                purpose: "machines do not find their root file system (port mapper)",
                setting: nil, hint: "have rpcbind tell them: rowctl netboot --register")
        }

    private static func double(_ wanted: [Wanted]) -> Finding {
        let settings = wanted.compactMap(\.setting).joined(separator: " and ")
        return .problem(
            .ports, wanted[0].title, "\(settings) want the same port",
            because: "only one of them can be served", remedy: "give one of them another port")
    }

    private static func finding(
        _ wanted: Wanted, _ plan: Plan, _ listeners: Listeners
    ) -> Finding {
        let other = wanted.alternative
        switch PortProbe.attempt(wanted.address, wanted.transport) {
        case 0: return .fine(.ports, wanted.title, "it is free")
        case EADDRINUSE: return held(wanted, plan, listeners)
        case EACCES:
            return .problem(
                .ports, wanted.title, "this user may not listen on ports below 1024",
                because: wanted.purpose,
                remedy: either(
                    "run as root, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE and "
                        + "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", other))
        case EADDRNOTAVAIL:
            return .problem(
                .ports, wanted.title, "this machine does not have the address",
                because: wanted.purpose,
                remedy: either(
                    "ip address add \(wanted.address.host ?? "") dev INTERFACE", other))
        case let code:
            return .problem(
                .ports, wanted.title,
                "it cannot be listened on: \(String(cString: strerror(code)))",
                because: wanted.purpose, remedy: other ?? "free it")
        }
    }

    private static func held(
        _ wanted: Wanted, _ plan: Plan, _ listeners: Listeners
    ) -> Finding {
        let holders = listeners.holders {
            $0.transport == wanted.transport && $0.isInTheWay(of: wanted.address)
        }
        let serving = listeners.processes.serving(plan.state.path)
        if let ours = holders.first(where: {
            $0.id == serving?.id
                || (wanted.program == "dnsmasq" && serving != nil)
                    && $0.program == wanted.program
        }) {
            return .fine(.ports, wanted.title, "\(ours.program) (\(ours.id)) serves there")
        }
        guard let holder = holders.first else { return heldUnseen(wanted) }
        return .problem(
            .ports, wanted.title, "\(holder.program) (\(holder.id)) has it",
            because: wanted.purpose,
            remedy: either(
                "kill \(holder.id), or stop the service that it is", wanted.alternative))
    }

    private static func heldUnseen(_ wanted: Wanted) -> Finding {
        let isRoot = geteuid() == 0
        return .problem(
            .ports, wanted.title,
            isRoot
                ? "no process has it that can be seen here: the kernel's NFS server, or a container's"
                : "another user's process has it",
            because: wanted.purpose,
            remedy: either(
                isRoot
                    ? "systemctl stop nfs-server, or the container"
                    : "as root, 'rowctl doctor' tells which",
                wanted.alternative))
    }

    private static func either(_ one: String, _ other: String?) -> String {
        other.map { "\(one); or \($0)" } ?? one
    }
}
