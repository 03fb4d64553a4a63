import NFSClient
import NIOCore
import NIOPosix
import ROWProxy

/// Goes the way that rowfs goes to a server, and tells where it ends.
struct ServerExamination: Sendable {
    let url: NFSURL
    /// Whether it keeps changes; otherwise it has the image.
    let isShadow: Bool
    let image: Plan.Image
    let state: StateDirectory
    let surroundings: Surroundings

    /// How often the server is asked for nothing.
    private static let rounds = 5

    /// Where the way ended.
    struct End: Error {
        let finding: Finding
    }

    func findings() async -> [Finding] {
        do {
            try await resolve()
            let root = try await mount()
            let client = try await connect(root)
            let findings = try await ask(client)
            await client.close()
            return findings
        } catch let end as End {
            return [end.finding]
        } catch {
            return [failure("\(error)", remedy: "try again")]
        }
    }

    var check: Finding.Check { isShadow ? .shadow : .main }

    func failure(_ found: String, remedy: String) -> Finding {
        .problem(
            check, url.description, found,
            because: isShadow
                ? "changes cannot be kept there, and clients wait"
                : "what is not kept here of \(image.title) cannot be read",
            remedy: remedy)
    }

    var options: NFSClient.Options {
        var options = NFSClient.Options()
        options.timeout = surroundings.timeout
        options.connection.connectTimeout = surroundings.timeout
        options.connection.reconnection = .never
        options.connection.reservedPort = surroundings.reservedPort
        options.connection.credentials = TLSCredentials(surroundings.tls)
        return options.reaching(url)
    }

    var loop: any EventLoop { MultiThreadedEventLoopGroup.singleton.next() }

    /// To change it where it stands.
    var setting: String { image.setting(isShadow ? "shadow" : "source") }

    private func ask(_ client: NFSClient) async throws -> [Finding] {
        var times: [Duration] = []
        do {
            if let refusal = try await refusal(of: client) { throw End(finding: refusal) }
            for _ in 0..<Self.rounds {
                let start = ContinuousClock.now
                try await client.null()
                times.append(.now - start)
            }
        } catch let error as NFSClientError {
            throw End(finding: unreachable("NFS", url.port ?? NFSClient.defaultPort, error))
        }
        let time = times.sorted()[times.count / 2]
        let milliseconds = LatencyCheck.text(time)
        let answers = Finding.fine(check, url.description, "it answers in \(milliseconds)")
        guard !isShadow else { return [answers] }
        let squash = SquashCheck(client: client, url: url, image: image)
        return try await [answers, LatencyCheck.finding(time, url, image, state)]
            + squash.findings()
    }
}

extension Surroundings {
    /// For people.
    var patienceText: String { "\(Double(patience / .milliseconds(1)) / 1000) s" }
}
