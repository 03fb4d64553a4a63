import Foundation
import ROWTestKit
import Synchronization
import Testing

/// What the tests of the long script share: the image, and what the whole script prints on a plain
/// writable copy of it. Made once for the suite, when its first test asks, and removed after its last.
final class LongReference: Sendable {
    @TaskLocal static var current = LongReference()

    struct Made: Sendable {
        let image: String
        let before: TreeHash
        /// Of all sections.
        let output: String
        /// For the guest.
        let helper: String
        fileprivate let folder: TemporaryDirectory
    }

    let seed = Seed()
    private let maker = Maker()

    private actor Maker {
        var task: Task<Made, any Error>?

        func made(_ seed: Seed) async throws -> Made {
            let task = task ?? Task { try await LongReference.make(seed) }
            self.task = task
            return try await task.value
        }
    }

    func made() async throws -> Made { try await maker.made(seed) }

    private static func make(_ seed: Seed) async throws -> Made {
        let folder = try TemporaryDirectory()
        let helper = try await CProgram.build("guest-io", flags: ["-static"], in: folder)
        let image = try await LongTree(at: try folder.directory("image"), seed: seed)
        let before = try TreeHash(of: image.path, modificationTimes: true)
        let copy = folder.path("copy")
        try await image.copy(to: copy)
        let server = try await Ganesha.start(directory: copy, readOnly: false)
        let result = try await LongWorkload.run(
            LongWorkload.script(on: server.export), helper: helper, "on a writable copy")
        #expect(result.exitCode == 0, "on the writable copy: \(result)")
        try await server.stop()
        try FileManager.default.removeItem(atPath: copy)
        return Made(
            image: image.path, before: before, output: result.output, helper: helper,
            folder: folder)
    }
}

extension LongWorkload {
    /// Runs the script in a guest, and prints how many seconds each section took.
    static func run(
        _ script: String, helper: String, _ title: String
    ) async throws -> Guest.Result {
        let sections = SectionTimes()
        let result = try await Guest(limit: .seconds(900)).run(
            script, programs: ["sqlite3", helper], hostCommands: ["section": sections.begin])
        _ = sections.begin(["end"])
        print("long script \(title): \(sections.text)")
        return result
    }

    private final class SectionTimes: Sendable {
        private let begun = Mutex<[(name: String, time: ContinuousClock.Instant)]>([])

        @Sendable func begin(_ words: [String]) -> String {
            begun.withLock { $0.append((words.joined(), .now)) }
            return ""
        }

        var text: String {
            let begun = begun.withLock { $0 }
            return zip(begun, begun.dropFirst()).map { section, next in
                let seconds = (next.time - section.time) / .seconds(1)
                return "\(section.name) \((seconds * 10).rounded() / 10)"
            }.joined(separator: ", ")
        }
    }
}

/// Gives a suite a ``LongReference`` of its own.
struct LongReferenceTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        try await LongReference.$current.withValue(LongReference(), operation: function)
    }
}

extension Trait where Self == LongReferenceTrait {
    static var longReference: LongReferenceTrait { LongReferenceTrait() }
}
