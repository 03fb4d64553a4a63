import Doctor
import Foundation
import Glibc
import NFSClient
import ROWProxy
import ROWTestKit
import Testing

/// Who may read and change what rowfs keeps: real modes, mended by the commands that are told.
@Suite struct RightsTests {
    @Test func aStateDirectoryOfItsOwnIsFine() async throws {
        #expect(await (try Patient()).complaints(.state) == [])
    }

    @Test(arguments: [(0o777, Finding.Severity.problem), (0o755, .warning)])
    func aStateDirectoryThatOthersComeInto(mode: Int, severity: Finding.Severity) async throws {
        let patient = try Patient()
        try Patient.chmod(patient.state, mode)
        let finding = try await patient.complaint(.state, severity)
        #expect(finding.found.contains("(mode 0\(String(mode, radix: 8)))"))
        try await patient.follow(finding)
        #expect(await patient.complaints(.state) == [])
    }

    @Test func aDirectoryAboveThatAnybodyMayChange() async throws {
        let patient = try Patient()
        try Patient.chmod(patient.folder.path, 0o777)
        let finding = try await patient.complaint(.state, .problem)
        try #require(finding.subject == patient.folder.path)
        try await patient.follow(finding)
        #expect(await patient.complaints(.state) == [])
        // As /tmp is.
        try Patient.chmod(patient.folder.path, 0o1777)
        #expect(await patient.complaints(.state) == [])
    }

    @Test func aFileInThePlaceOfTheStateDirectory() async throws {
        let patient = try Patient()
        try FileManager.default.removeItem(atPath: patient.state)
        _ = try patient.folder.file("state", "")
        try await patient.follow(try await patient.complaint(.state, .problem))
        #expect(await patient.complaints(.state) == [])
    }

    @Test func aKeyThatOthersMayRead() async throws {
        let patient = try Patient()
        try await RowctlProcess.run(["appliance", "keygen", "site", "--state", patient.state])
        #expect(await patient.complaints(.keys) == [])
        let key = "\(patient.state)/catalogue/keys/site.key"
        try Patient.chmod(key, 0o644)
        let finding = try await patient.complaint(.keys, .problem)
        try #require(finding.subject == key)
        try await patient.follow(finding)
        #expect(await patient.complaints(.keys) == [])
    }

    @Test func theKeyOfACertificateThatOthersMayRead() async throws {
        let patient = try Patient()
        let (certificate, key) = (patient.folder.path("own.pem"), patient.folder.path("own.key"))
        try await runTool(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=own", "-keyout", key, "-out", certificate,
            ])
        patient.surroundings.tls = TLSFiles(certificate: certificate, key: key)
        #expect(await patient.complaints(.certificate) == [])
        try Patient.chmod(key, 0o644)
        let finding = try await patient.complaint(.certificate, .problem)
        #expect(finding.found.contains("chmod 600 \(key)"))
    }

    @Test func aControlSocketThatOthersMayUse() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let served = try await RowctlProcess.start(
            ["serve", image, "--session", "s", "--state", patient.state])
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: "\(patient.state)/images")
        let socket = "\(patient.state)/images/\(try #require(folders.first))/control.sock"
        #expect(await patient.complaints(.state) == [])
        try Patient.chmod(socket, 0o666)
        let finding = try await patient.complaint(.state, .problem)
        try #require(finding.subject == socket)
        try await patient.follow(finding)
        #expect(await patient.complaints(.state) == [])
        try await served.terminate()
    }

    @Test func aSettingsFileThatOthersMayWriteTo() async throws {
        let patient = try Patient()
        let file = try patient.folder.file("rowfs.yaml", "images: {}\n")
        patient.plan.configuration = file
        try Patient.chmod(file, 0o666)
        try await patient.follow(try await patient.complaint(.configuration, .problem))
        #expect(await patient.complaints(.configuration) == [])
    }

    @Test func aSettingsFileOfAnotherUser() async throws {
        let patient = try Patient()
        let file = try patient.folder.file("rowfs.yaml", "images: {}\n")
        patient.plan.configuration = file
        try #require(chown(file, 65534, 65534) == 0)
        let finding = try await patient.complaint(.configuration, .problem)
        #expect(finding.found.contains("another user (65534)"))
        try await patient.follow(finding)
        #expect(await patient.complaints(.configuration) == [])
    }

    @Test func aSettingsFileWithAMistakeIsToldWithItsLine() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let text =
            "images:\n  a:\n    source: \(image)\n    lissten: 127.0.0.1:0\n    sessions: {s: }\n"
        let file = try patient.folder.file("rowfs.yaml", text)
        patient.plan = Plan(configuration: file, state: patient.plan.state)
        let finding = try await patient.complaint(.configuration, .problem)
        #expect(finding.subject == "\(file):4")
        _ = try patient.folder.file("rowfs.yaml", text.replacing("lissten", with: "listen"))
        patient.plan = Plan(configuration: file, state: patient.plan.state)
        #expect(await patient.complaints(.configuration) == [])
        #expect(patient.plan.images.map(\.source) == [image])
    }

    @Test func anImageThatIsNotThere() async throws {
        let patient = try Patient()
        try patient.serve(patient.folder.path("image"))
        try await patient.follow(try await patient.complaint(.main, .problem))
        #expect(await patient.complaints(.main) == [])
    }
}
