import Foundation
import ROWTestKit
import Testing

/// `rowctl bugreport` tells what helps, and keeps secrets.
@Suite struct BugReportTests {
    @Test func nothingOfWhatFilesHaveOrAreCalledIsInIt() async throws {
        let folder = try TemporaryDirectory("rowfs-bugreport")
        let (state, image) = (folder.path("state"), try folder.directory("image"))
        _ = try folder.file("image/xyzzy-of-the-image", "plugh")
        try await RowctlProcess.run(["appliance", "keygen", "site", "--state", state])
        let key = try Data(
            contentsOf: URL(filePath: "\(state)/catalogue/keys/site.key"))
        let served = try await RowctlProcess.start(
            ["serve", image, "--session", "alice", "--state", state])
        let text = """
            state: \(state)
            # password: frobozz
            images:
              a: {source: \(image), sessions: {alice: }}
            """
        let file = try folder.file("rowfs.yaml", text)
        let output = folder.path("report")
        try await write("xyzzy-of-the-session", "plugh", served)
        let told = try await RowctlProcess.run(
            ["stat-session", "alice", "--json", "--state", state])
        #expect(told.contains("xyzzy-of-the-session"))
        try await RowctlProcess.run(["bugreport", "--config", file, "--output", output])
        let status = try FileManager.default.attributesOfItem(atPath: output)
        #expect(status[.posixPermissions] as? Int == 0o600)
        let report = try String(contentsOfFile: output, encoding: .utf8)
        for secret in ["xyzzy", "plugh", "frobozz", key.base64EncodedString()] {
            #expect(!report.contains(secret), "\(secret)")
        }
        let hexadecimal = key.map { String(format: "%02x", $0) }.joined()
        #expect(!report.contains(hexadecimal))
        let keyText = String(decoding: key, as: UTF8.self)
        #expect(!keyText.split(separator: "\n").contains { $0.count > 8 && report.contains($0) })
        for part in [
            "rowctl 0.1.0", "kernel Linux", "images.a.source: \(image) (\(file):4)",
            "\"check\" : \"descriptors\"", "\"name\" : \"alice\"", "\"files\" : 1",
            "session.sqlite", "Max open files", "== mounts",
        ] {
            #expect(report.contains(part), "\(part)")
        }
        try await served.terminate()
    }
}
