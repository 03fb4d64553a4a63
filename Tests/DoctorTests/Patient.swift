import Doctor
import Foundation
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// A state directory that nothing is wrong with, and what is looked at.
final class Patient {
    let folder: TemporaryDirectory
    let state: String
    var plan: Plan
    var surroundings = Surroundings()

    init() throws {
        folder = try TemporaryDirectory("rowfs-doctor")
        state = try folder.directory("state")
        try Self.chmod(folder.path, 0o700)
        try Self.chmod(state, 0o700)
        plan = Plan(state: StateDirectory(FilePath(state)))
    }

    /// Another image is to be served.
    func serve(_ source: String, _ change: (inout Plan.Image) -> Void = { _ in }) throws {
        var image = try Plan.Image(source)
        change(&image)
        plan.images.append(image)
    }

    /// What a check finds that is not as it should be.
    func complaints(_ check: Finding.Check) async -> [Finding] {
        await Examination.findings(plan, surroundings)
            .filter { $0.check == check && $0.severity != .fine }
    }

    /// The one complaint of a check.
    func complaint(
        _ check: Finding.Check, _ severity: Finding.Severity,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Finding {
        let all = await complaints(check)
        // What others say is perhaps done, and is not to be.
        try #require(all.count == 1, "\(all)", sourceLocation: sourceLocation)
        let first = try #require(all.first, sourceLocation: sourceLocation)
        #expect(first.severity == severity, sourceLocation: sourceLocation)
        #expect(first.reason?.isEmpty == false, sourceLocation: sourceLocation)
        return first
    }

    /// Does what a finding says, as far as it is a command.
    func follow(_ finding: Finding) async throws {
        let remedy = try #require(finding.remedy)
        let command = remedy.split(separator: ", or").first.map(String.init) ?? remedy
        try await runTool("/bin/sh", ["-c", command])
    }

    static func chmod(_ path: String, _ mode: Int) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }
}

/// What `rowctl doctor --json` prints.
struct Line: Decodable {
    let check: String
    let severity: String
    let subject: String
    let found: String
    let remedy: String?

    static func all(_ json: String) throws -> [Line] {
        try JSONDecoder().decode([Line].self, from: Data(json.utf8))
    }
}

/// Runs `rowctl doctor --json`, as the last words of a command.
func doctor(
    _ arguments: [String], by wrapper: [String] = []
) async throws -> (code: Int32, lines: [Line]) {
    let words = wrapper + [try ProjectPaths.builtProgram("rowctl"), "doctor", "--json"] + arguments
    let result = try await Tool.result(of: words[0], Array(words.dropFirst()))
    return (result.status.code, try Line.all(result.output))
}
