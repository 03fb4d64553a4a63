import NFSClient
import NFSProtocol
import ONCRPC

/// What a server's silence and its refusals mean.
extension ServerExamination {
    /// Of a connection that is not made, or of one without answers.
    func unreachable(_ service: String, _ port: Int, _ error: any Error) -> Finding {
        let place = "port \(port) of \(url.host)"
        switch (error as? NFSClientError)?.code {
        case .connectionRefused?:
            return failure(
                "nobody listens at \(place), where \(service) should be",
                remedy: "start the server there, or correct the port in \(setting)")
        case .timedOut?, .connectionLost?:
            return failure(
                "\(place) takes connections, but \(service) does not answer within "
                    + surroundings.patienceText,
                remedy: "look at the server's log and load there, or correct the port in \(setting)"
            )
        case .unreachable?:
            return failure(
                "there is no way to \(place): \(error)",
                remedy: "let TCP port \(port) through firewalls on the way ('ip route get "
                    + "\(url.host)' shows the first step), or correct \(setting)")
        case .tlsFailed?:
            return failure(
                "\(service) at \(place) cannot be asked by TLS: \(error)",
                remedy:
                    "mend the certificates, here (--tls-cert, --tls-key, --tls-ca) or there, or correct "
                    + "\(setting)")
        default:
            return failure(
                "\(service) does not work: \(error)",
                remedy: "check that \(place) is an NFSv3 server's, or correct \(setting)")
        }
    }

    /// Of MNT.
    func refusal(_ error: any Error, _ client: MountClient, _ port: Int) async -> Finding {
        switch (error as? NFSClientError)?.code {
        case .mountRefused(.noent)?, .mountRefused(.notdir)?:
            let exports = (try? await client.exports()) ?? []
            let names = exports.prefix(10).map(\.directory.description)
            let others = names.isEmpty ? "" : " It exports \(names.joined(separator: ", "))."
            return failure(
                "it has no export \(Mount.DirectoryPath(url.path)).\(others)",
                remedy: "correct \(setting), or export the directory there (/etc/exports, and "
                    + "exportfs -r)")
        case .mountRefused(.acces)?, .mountRefused(.perm)?: return notAdmitted()
        case .mountRefused(let status)?:
            return failure(
                "it does not let us mount the export: \(status)",
                remedy: "look at the server's log")
        default: return unreachable("MOUNT", port, error)
        }
    }

    /// Of an export that is mounted, but not shown.
    func refusal(of client: NFSClient) async throws -> Finding? {
        do {
            switch try await client.getattr(client.rootHandle).status {
            case .ok: return nil
            case .perm, .acces: return notAdmitted()
            case let status:
                return failure(
                    "it does not tell what the export is: \(status)",
                    remedy: "look at the server's log")
            }
        } catch let error as NFSClientError {
            switch error.code {
            case .rpcRejected(.authError): return notAdmitted()
            default: throw error
            }
        }
    }

    /// Many exports answer only ports that root may use.
    func notAdmitted() -> Finding {
        if ReservedPorts.areUsable(surroundings) {
            return failure(
                "the export does not admit this machine",
                remedy: "add its address to the export there (/etc/exports, and exportfs -r)")
        }
        return failure(
            "it does not admit us from a port above 1023, the only ones that this user may use",
            remedy: "run as root, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE and "
                + "CapabilityBoundingSet=CAP_NET_BIND_SERVICE, or export with 'insecure' there")
    }
}
