import Doctor
import Foundation
import NFSClient
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// Servers of images, from afar to unwilling.
@Suite struct ServerTests {
    private func patient(_ source: String) throws -> Patient {
        let patient = try Patient()
        // On a busy machine too.
        patient.surroundings.patience = .seconds(20)
        try patient.serve(source)
        return patient
    }

    /// Expects a problem of the server.
    private func problem(_ patient: Patient, _ words: String) async throws {
        let finding = try await patient.complaint(.main, .problem)
        #expect(finding.found.contains(words), "\(finding.found)")
        #expect(finding.remedy?.isEmpty == false)
    }

    @Test func nobodyListens() async throws {
        let port = LoopbackPort.free()
        let patient = try patient("nfs://127.0.0.1:\(port)/export?mountport=\(port)")
        try await problem(patient, "nobody listens at port \(port)")
        let server = try await SimulatedNFSServer.start(port: port)
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func aServerThatNeverAnswersIsNotWaitedForForLong() async throws {
        let listener = try Listener()
        let patient = try patient(
            "nfs://127.0.0.1:\(listener.port)/export?mountport=\(listener.port)")
        patient.surroundings.patience = .milliseconds(500)
        let start = ContinuousClock.now
        try await problem(patient, "does not answer within 0.5 s")
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    /// All are asked at the same time.
    @Test func manyServersThatNeverAnswer() async throws {
        let listener = try Listener()
        let patient = try Patient()
        patient.surroundings.patience = .seconds(1)
        for number in 0..<15 {
            let port = listener.port
            try patient.serve("nfs://127.0.0.1:\(port)/\(number)?mountport=\(port)")
        }
        let start = ContinuousClock.now
        #expect(await patient.complaints(.main).count == 15)
        #expect(ContinuousClock.now - start < .seconds(12))
    }

    @Test func aServerThatKeepsChangesAndIsAway() async throws {
        let server = try await SimulatedNFSServer.start()
        let port = LoopbackPort.free()
        let patient = try patient(server.export.url)
        patient.plan.images[0].shadows = [
            try NFSURL("nfs://127.0.0.1:\(port)/export?mountport=\(port)")
        ]
        let finding = try await patient.complaint(.shadow, .problem)
        #expect(finding.remedy?.contains("--shadow") == true)
        let other = try await SimulatedNFSServer.start(port: port, isWritable: true)
        #expect(await patient.complaints(.shadow) == [])
        #expect(await patient.complaints(.main) == [])
        try await other.stop()
        try await server.stop()
    }

    @Test func aServerThatHangs() async throws {
        let server = try await SimulatedNFSServer.start()
        let patient = try patient(server.export.url)
        server.setSilent(true)
        patient.surroundings.patience = .milliseconds(500)
        try await problem(patient, "does not answer")
        server.setSilent(false)
        patient.surroundings.patience = .seconds(20)
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func aNameWithoutAddress() async throws {
        let patient = try patient("nfs://nobody.invalid/export?mountport=20048")
        let finding = try await patient.complaint(.main, .problem)
        #expect(finding.found.contains("nobody.invalid"))
        let server = try await SimulatedNFSServer.start()
        patient.plan.images = []
        try patient.serve(server.export.url)
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func anExportThatThereIsNot() async throws {
        let server = try await SimulatedNFSServer.start()
        let patient = try patient(server.export.url.replacing("/export", with: "/exprot"))
        try await problem(patient, "it has no export /exprot. It exports /export.")
        patient.plan.images = []
        try patient.serve(server.export.url)
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func aServerWithoutPortMapper() async throws {
        let server = try await SimulatedNFSServer.start()
        let patient = try patient("nfs://127.0.0.1:\(server.port)/export")
        patient.surroundings.portmapPort = LoopbackPort.free()
        try await problem(patient, "port mapper")
        patient.plan.images = []
        try patient.serve(server.export.url)
        #expect(await patient.complaints(.main) == [])
        // Or by its port mapper.
        patient.plan.images = []
        try patient.serve("nfs://127.0.0.1/export")
        patient.surroundings.portmapPort = server.port
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func ofSeveralServersOneIsEnough() async throws {
        let server = try await SimulatedNFSServer.start()
        let port = LoopbackPort.free()
        let patient = try patient(
            "nfs://127.0.0.1:\(port)/export?mountport=\(port),\(server.export.url)")
        _ = try await patient.complaint(.main, .warning)
        let other = try await SimulatedNFSServer.start(port: port)
        #expect(await patient.complaints(.main) == [])
        try await other.stop()
        try await server.stop()
    }

    // MARK: nfs-ganesha

    @Test func anExportThatWantsAPortOfRoot() async throws {
        let folder = try TemporaryDirectory()
        let server = try await Ganesha.start(directory: folder.path, privilegedPorts: true)
        let patient = try patient(server.export.url)
        patient.surroundings.reservedPort = .never
        try await problem(patient, "from a port above 1023")
        patient.surroundings.reservedPort = .ifPermitted
        #expect(await patient.complaints(.main) == [])
        try await server.stop()
    }

    @Test func anExportThatTakesRootForNobody() async throws {
        let folder = try TemporaryDirectory()
        try Patient.chmod(folder.path, 0o755)
        try Patient.chmod(try folder.file("shadow", "secret"), 0o600)
        let server = try await Ganesha.start(directory: folder.path, squash: .root)
        let patient = try patient(server.export.url)
        let finding = try await patient.complaint(.squash, .warning)
        #expect(finding.remedy?.contains("no_root_squash") == true)
        try await server.stop()
        try Patient.chmod(folder.path, 0o700)
        let closed = try await Ganesha.start(directory: folder.path, squash: .root)
        patient.plan.images = []
        try patient.serve(closed.export.url)
        _ = try await patient.complaint(.squash, .problem)
        try await closed.stop()
        let other = try await Ganesha.start(directory: folder.path)
        patient.plan.images = []
        try patient.serve(other.export.url)
        #expect(await patient.complaints(.squash) == [])
        #expect(await patient.complaints(.main) == [])
        try await other.stop()
    }

    // MARK: Far away

    @Test func aServerThatIsFarAway() async throws {
        let server = try await SimulatedNFSServer.start(.directory([("a", .file("hello"))]))
        let patient = try patient(server.export.url)
        #expect(await patient.complaints(.latency) == [])
        server.setDelay(.milliseconds(60))
        let finding = try await patient.complaint(.latency, .warning)
        let remedy = try #require(finding.remedy?.split(separator: ", or").first)
        let words = remedy.replacing("'", with: "").split(separator: " ").map(String.init)
        #expect(words.first == "rowctl")
        try await RowctlProcess.run(Array(words.dropFirst()) + ["--state", patient.state])
        #expect(await patient.complaints(.latency) == [])
        try await server.stop()
    }

    @Test func aServerThatIsFarAwayOfWhichNothingIsKept() async throws {
        let server = try await SimulatedNFSServer.start()
        server.setDelay(.milliseconds(60))
        let patient = try Patient()
        try patient.serve(server.export.url) { $0.cacheSize = ByteSize(bytes: 0) }
        let finding = try await patient.complaint(.latency, .warning)
        #expect(finding.remedy == "set --cache-size to 10G, or leave it out")
        patient.plan.images = []
        try patient.serve(server.export.url) { $0.hasProfile = true }
        #expect(await patient.complaints(.latency) == [])
        try await server.stop()
    }
}
