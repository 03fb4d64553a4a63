import NFSClient
import NFSProtocol
import NIOCore

/// The way to a server: its name, MOUNT, NFS.
extension ServerExamination {
    func resolve() async throws {
        let host = url.host
        switch await within(surroundings.patience, { await Addresses.of(host) }) {
        case .success(let addresses)? where !addresses.isEmpty: return
        case .success?, nil:
            let found =
                "the name server tells no address of \(host) within \(surroundings.patienceText)"
            throw End(
                finding: failure(
                    found, remedy: "check /etc/resolv.conf, or write an address in \(setting)"))
        case .failure(let unknown)?:
            throw End(
                finding: failure(
                    "the name \(host) has no address: \(unknown.reason)",
                    remedy: "correct \(setting), or name it in /etc/hosts: ADDRESS \(host)"))
        }
    }

    func mount() async throws -> NFS3.FileHandle {
        let port: Int
        if let known = url.mountPort {
            port = known
        } else {
            do {
                port = try await PortmapClient.port(
                    ofProgram: Mount.program, version: Mount.version, host: url.host,
                    portmapPort: surroundings.portmapPort, timeout: surroundings.timeout, on: loop)
            } catch {
                throw End(
                    finding: failure(
                        "its port mapper does not tell where MOUNT is: \(error)",
                        remedy: "start rpcbind there and let port 111 through, or add "
                            + "?mountport=PORT in \(setting)"))
            }
        }
        let client: MountClient
        do {
            client = try await MountClient.connect(
                host: url.host, port: port, options: options, on: loop)
        } catch {
            throw End(finding: unreachable("MOUNT", port, error))
        }
        do {
            let mounted = try await client.mount(Mount.DirectoryPath(url.path))
            await client.close()
            return mounted.handle
        } catch {
            let finding = await refusal(error, client, port)
            await client.close()
            throw End(finding: finding)
        }
    }

    func connect(_ root: NFS3.FileHandle) async throws -> NFSClient {
        var port = url.port ?? NFSClient.defaultPort
        if url.port == nil {
            port =
                (try? await PortmapClient.port(
                    ofProgram: NFS3.program, version: NFS3.version, host: url.host,
                    portmapPort: surroundings.portmapPort, timeout: surroundings.timeout, on: loop))
                ?? port
        }
        do {
            let client = try await NFSClient.connect(
                host: url.host, port: port, rootHandle: root, options: options, on: loop)
            do {
                try await client.null()
                return client
            } catch {
                await client.close()
                throw error
            }
        } catch {
            throw End(finding: unreachable("NFS", port, error))
        }
    }
}
