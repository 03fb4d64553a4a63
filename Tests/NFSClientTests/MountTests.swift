import NFSClient
import NFSProtocol
import NIOPosix
import ROWTestKit
import Testing

@Suite struct MountTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    @Test func thePortMapperIsAskedForPortsThatTheURLLacks() async throws {
        let server = try await SimulatedNFSServer.start()
        var options = NFSClient.Options()
        options.portmapPort = server.port
        let client = try await NFSClient.connect(
            NFSURL("nfs://127.0.0.1/export/directory"), options: options)
        #expect(client.rootHandle == (try server.existing("directory")))
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await server.stop()
    }

    @Test func hostNamesAreResolved() async throws {
        let server = try await SimulatedNFSServer.start()
        let url = "nfs://localhost:\(server.port)/export?mountport=\(server.port)"
        let client = try await NFSClient.connect(NFSURL(url))
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await server.stop()
    }

    @Test func aRefusedMountSaysWhy() async throws {
        let server = try await SimulatedNFSServer.start()
        let base = "nfs://127.0.0.1:\(server.port)"
        for (path, status) in [("/other", Mount.Status.noent), ("/export/hello", .notdir)] {
            let url = try NFSURL("\(base)\(path)?mountport=\(server.port)")
            let error = await #expect(throws: NFSClientError.self) {
                try await NFSClient.connect(url)
            }
            #expect(error?.code == .mountRefused(status))
            #expect(error?.context.contains(path) == true)
        }
        try await server.stop()
    }

    @Test func exportsAreListedAndUnmountIsAnswered() async throws {
        let server = try await SimulatedNFSServer.start()
        let mount = try await MountClient.connect(
            host: "127.0.0.1", port: server.port, on: loop)
        #expect(try await mount.exports().map(\.directory.description) == ["/export"])
        try await mount.unmount(Mount.DirectoryPath("/export"))
        await mount.close()
        try await server.stop()
    }

    @Test func aPortMapperThatDoesNotKnowOrIsNotThereIsNamed() async throws {
        let server = try await SimulatedNFSServer.start()
        await #expect(throws: NFSClientError(.portmapFailed, "")) {
            try await PortmapClient.port(
                ofProgram: 100_021, version: 4, host: "127.0.0.1", portmapPort: server.port,
                on: loop)
        }
        try await server.stop()
        // The server's own may be another test's by now.
        let port = LoopbackPort.free()
        let error = await #expect(throws: NFSClientError.self) {
            try await PortmapClient.port(
                ofProgram: NFS3.program, version: 3, host: "127.0.0.1", portmapPort: port, on: loop)
        }
        #expect(error?.code == .portmapFailed)
        #expect(error?.context.contains("Nobody listens") == true)
    }

    @Test func nobodyListeningIsRefusedAndAnUnknownHostIsNotResolved() async throws {
        let port = LoopbackPort.free()
        let url = try NFSURL("nfs://127.0.0.1:\(port)/export?mountport=\(port)")
        await #expect(throws: NFSClientError(.connectionRefused, "")) {
            try await NFSClient.connect(url)
        }
        await #expect(throws: NFSClientError(.nameNotResolved, "")) {
            try await NFSClient.connect(NFSURL("nfs://no-such-host.invalid:1/x?mountport=1"))
        }
    }
}
