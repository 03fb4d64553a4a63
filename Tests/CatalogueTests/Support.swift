import Foundation
import ROWCore
import ROWTestKit
import SystemPackage
import Testing

@testable import Catalogue

/// Nodes of a distributed hash table on loopback, by Debian's dhtnode.
actor DHTNetwork {
    private var nodes: [(port: Int, process: ChildProcess)] = []

    init(nodes count: Int) async throws {
        for _ in 0..<count { nodes.append(try await Self.start(joining: nodes.first?.port)) }
    }

    /// What a client is to begin with.
    func catalogue(bootstrap indices: [Int] = [0]) -> String {
        "dht:" + indices.map { "127.0.0.1:\(nodes[$0].port)" }.joined(separator: ",")
    }

    var count: Int { nodes.count }

    func join() async throws { nodes.append(try await Self.start(joining: nodes.last?.port)) }

    func kill(_ index: Int) async throws { try await nodes.remove(at: index).process.kill() }

    func killAll() async throws {
        for node in nodes { try await node.process.kill() }
        nodes = []
    }

    /// One that hears: who asks a node that does not yet asks again only after ten seconds, and then ever later.
    private static func start(joining port: Int?) async throws -> (Int, ChildProcess) {
        let own = LoopbackPort.free()
        let bootstrap = port.map { ["-b", "127.0.0.1:\($0)"] } ?? []
        let process = try ChildProcess("dhtnode", ["-s", "-p", "\(own)"] + bootstrap)
        let address = ":" + String(own, radix: 16, uppercase: true) + " "
        _ = try await poll(for: "DHT node at port \(own)", within: .seconds(30)) {
            let sockets = try String(contentsOfFile: "/proc/net/udp", encoding: .utf8)
            return sockets.contains(address) ? true : nil
        }
        return (own, process)
    }
}

/// Where the tests that are the same for both keep their catalogue.
enum BackEnd: String, CaseIterable, Sendable { case file, dht }

/// A catalogue, and machines that use it.
final class TestCatalogue: Sendable {
    let folder: TemporaryDirectory
    let text: String
    let network: DHTNetwork?

    init(_ backEnd: BackEnd, nodes: Int = 3) async throws {
        folder = try TemporaryDirectory("rowfs-catalogue")
        switch backEnd {
        case .file:
            network = nil
            text = folder.path("catalogue.sqlite")
        case .dht:
            let network = try await DHTNetwork(nodes: nodes)
            self.network = network
            text = await network.catalogue()
        }
    }

    func layout(_ machine: String) -> StateLayout { StateLayout(FilePath(folder.path(machine))) }

    /// Opens it as a machine with a state directory of its own.
    func open(
        _ machine: String, text: String? = nil, timeout: Duration = .seconds(20)
    ) async throws -> Catalogue {
        var options = Catalogue.Options()
        options.dhtProgram = try ProjectPaths.builtProgram("rowctl-dht")
        options.timeout = timeout
        return try await Catalogue.open(
            text ?? self.text, state: layout(machine), options: options)
    }

    /// A key for a name, as keygen makes it.
    func makeKey(_ name: String, _ machine: String = "publisher") throws -> (
        appliance: Appliance, file: String
    ) {
        let file = Catalogue.keyFile(name, state: layout(machine))
        let key = try SigningKey.make(file: file)
        return (try Appliance(name: name, key: key.fingerprint), file)
    }
}

/// Something to publish.
func request(_ version: String, leasePeriod: Int64 = 600) -> PublicationRequest {
    var request = PublicationRequest(
        name: "app", version: version, locations: ["nfs://server/images/\(version)"])
    request.leasePeriod = leasePeriod
    return request
}

extension Catalogue {
    /// Adds bytes as anybody can.
    func putJunk(_ bytes: [UInt8], _ key: CatalogueKey) async throws {
        switch store {
        case let store as LocalStore:
            try await store.put(bytes, under: key, expires: now() + 600)
        case let store as DHTStore:
            try await store.put(bytes, under: key, within: .seconds(20))
        default: Issue.record("an unknown store")
        }
    }
}

/// A record of a version that is valid now.
func versionRecord(
    _ appliance: Appliance, _ version: String = "1", sequence: UInt64 = 1, issued: Int64,
    life: Int64 = 600, isOver: Bool = false
) -> Record {
    Record(
        appliance: appliance, version: version, issued: issued, expires: issued + life,
        isOver: isOver,
        body: .version(sequence: sequence, leasePeriod: 600, manifestRoot: nil))
}
