import Foundation
import ROWTestKit
import Synchronization
import Testing

extension Integration {
    /// The long script on a session of a read-only server, against a plain writable copy.
    @Suite(.longReference) struct LongTests {
        @Test func everythingProgramsDoToFilesLooksLikeOnAWritableCopy() async throws {
            try await compare { session in
                try await session.run()
                // Nothing was in memory alone: the proxy is killed, and another client looks.
                try await session.proxy.kill()
                try await session.proxy.restart()
                let later = try await Guest().run(LongWorkload.look(at: session.proxy.export))
                #expect(later.exitCode == 0, "\(later) \(session.proxy.errors)")
                expectSameLines(
                    later.output, treeLines(of: session.reference.output), "after kill -9")
            }
        }

        @Test(arguments: isLongRun ? [8192, 32768, 1_048_576] : [8192])
        func theSizeOfReadsAndWritesMakesNoDifference(transferBytes: Int) async throws {
            try await compare { session in
                try await session.run(
                    LongWorkload.quick, options: "rsize=\(transferBytes),wsize=\(transferBytes)")
            }
        }

        @Test func restartsDuringTheScriptAreNotNoticed() async throws {
            try await compare { session in
                let restarter = Restarter(session.proxy, state: session.state)
                let restarting = Task { try await restarter.run() }
                try await session.run()
                let counts = try await restarter.stop(restarting)
                print("restarts during the script: \(counts)")
                #expect(counts.ended >= 5 && counts.killed >= 5, "\(counts)")
            }
        }

        private func compare(_ work: (Session) async throws -> Void) async throws {
            let seed = LongReference.current.seed
            let reference = try await LongReference.current.made()
            let folder = try TemporaryDirectory()
            let state = try folder.directory("state")
            let main = try await Ganesha.start(directory: reference.image)
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "work", "--state", state,
            ])
            print("long script: \(seed)")
            try await work(Session(reference: reference, proxy: proxy, state: state))
            try await proxy.terminate()
            try await main.stop()
            let after = try TreeHash(of: reference.image, modificationTimes: true)
            #expect(after.differences(from: reference.before) == [], "\(seed)")
        }

        private struct Session {
            let reference: LongReference.Made
            let proxy: RowctlProcess
            let state: String

            /// Runs the script and compares what it prints.
            func run(
                _ sections: [LongWorkload.Section] = LongWorkload.Section.allCases,
                options: String = ""
            ) async throws {
                let result = try await LongWorkload.run(
                    LongWorkload.script(on: proxy.export, sections, options: options),
                    helper: reference.helper, "on a session \(options)")
                #expect(result.exitCode == 0, "\(result) \(proxy.errors)")
                expectSameLines(
                    result.output, LongWorkload.output(reference.output, of: sections), options)
            }
        }
    }
}

/// Whether this run takes the time for tests that `make test` leaves out.
let isLongRun = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil

/// Restarts a proxy again and again while it is in use, in turns by SIGTERM and by SIGKILL, each time
/// after it has been given some thousand calls.
private final class Restarter: Sendable {
    struct Counts: Sendable {
        var ended = 0
        var killed = 0
    }

    private let proxy: RowctlProcess
    private let state: String
    private let isStopping = Mutex(false)
    private static let callsBetween = 3000

    init(_ proxy: RowctlProcess, state: String) {
        self.proxy = proxy
        self.state = state
    }

    func run() async throws -> Counts {
        var counts = Counts()
        while try await isBusy() {
            if counts.ended > counts.killed {
                try await proxy.kill()
                counts.killed += 1
            } else {
                try await proxy.terminate()
                counts.ended += 1
            }
            try await proxy.restart()
        }
        return counts
    }

    func stop(_ task: Task<Counts, any Error>) async throws -> Counts {
        isStopping.withLock { $0 = true }
        return try await task.value
    }

    /// Waits for the next time to restart; false when there is none any more.
    private func isBusy() async throws -> Bool {
        try await poll(for: "calls of the client", within: .seconds(900)) {
            if isStopping.withLock({ $0 }) { return false }
            let calls = try await SessionStatus.read(session: "work", state: state).calls.client
            return calls.values.reduce(0, +) >= Self.callsBetween ? true : nil
        }
    }
}
