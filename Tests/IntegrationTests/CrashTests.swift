import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

extension Integration {
    /// A writer whose proxy is killed at random moments: it sees no error, nothing that it was told is
    /// lost, and nothing is done twice. A shadow server that is killed loses what it was doing and all that
    /// it knew, but not what it had written: the kernel has that.
    @Suite struct CrashTests {
        private static let kills = isLongRun ? 200 : 10
        private static let workers = 4

        @Test func kernelClientLosesNothingAndSeesNoError() async throws {
            try await crash(Self.kernelClient)
        }

        @Test func libnfsLosesNothingAndSeesNoError() async throws {
            try await crash(Self.libnfs)
        }

        @Test func kernelClientLosesNothingWhenTheShadowServerIsKilledToo() async throws {
            try await crashBoth(Self.kernelClient)
        }

        @Test func libnfsLosesNothingWhenTheShadowServerIsKilledToo() async throws {
            try await crashBoth(Self.libnfs)
        }

        // MARK: Writers

        /// - Returns: the log.
        private static func kernelClient(_ bench: Bench) async throws -> String {
            let writer = try await CProgram.build(
                "crash-writer", flags: ["-static"], in: bench.folder)
            let (killing, killed) = AsyncStream<Void>.makeStream()
            let guest = try Guest(limit: .seconds(1000)).start(
                """
                nfs_mount \(bench.export.mountWords) /mnt actimeo=1 || fail "no mount"
                crash-writer /mnt \(workers) \(bench.seed.value) & writer=$!
                host killed
                kill $writer
                wait $writer || fail "the writer failed"
                umount /mnt || fail "no unmount"
                """, programs: [writer],
                hostCommands: [
                    "killed": { _ in
                        for await _ in killing {}
                        return ""
                    }
                ])
            let failure = await bench.makeKills(against: guest.child)
            killed.finish()
            let result = try await guest.result()
            #expect(failure == nil, "\(bench)")
            let tail = result.output.suffix(2000)
            #expect(result.exitCode == 0, "\(tail) \(result.diagnostics) \(bench)")
            return result.output
        }

        /// - Returns: the log.
        private static func libnfs(_ bench: Bench) async throws -> String {
            let program = try await CProgram.build(
                "crash-writer", flags: ["-DLIBNFS", "-lnfs"], in: bench.folder)
            let export = bench.export
            let url =
                "nfs://127.0.0.1\(export.path)?nfsport=\(export.port)"
                + "&mountport=\(export.mountPort)&autoreconnect=-1"
            let writer = try ChildProcess(program, [url, "\(workers)", "\(bench.seed.value)"])
            let failure = await bench.makeKills(against: writer)
            #expect(failure == nil, "\(bench)")
            let status = try await writer.terminate(within: .seconds(60))
            #expect(status == .exited(0), "\(writer.output.suffix(2000)) \(writer.errors)")
            return writer.output
        }

        // MARK: The run

        /// The same with the sparse files on a server, which is killed as well: in turns with the proxy,
        /// or together with it.
        private func crashBoth(_ write: (Bench) async throws -> String) async throws {
            let folder = try TemporaryDirectory("rowfs-shadow")
            let server = try await Ganesha.start(directory: folder.path, readOnly: false)
            try await crash(shadow: server, write)
            try await server.stop()
        }

        /// What a crash left at a server that nobody refers to is gone, as the session was opened since.
        private func expectNoLeftovers(on server: Ganesha, state: String) async throws {
            let files = FileManager.default
            let directories = try files.contentsOfDirectory(atPath: server.directory)
            #expect(directories.count == 1)
            let rows = try await runTool(
                "sqlite3",
                [
                    "\(state)/sessions/crash/session.sqlite",
                    "SELECT printf('%x.%d', node, layer) FROM content",
                ])
            let names = Set(rows.split(separator: "\n").map(String.init))
            let found = try Set(
                files.contentsOfDirectory(atPath: "\(server.directory)/\(directories[0])"))
            #expect(!found.isEmpty && found.subtracting(names).isEmpty, "\(found) \(names)")
        }

        /// Has a writer work on a session, and looks at what is there when it has ended.
        /// - Parameter shadow: keeps the sparse files.
        /// - Parameter write: returns the log.
        private func crash(
            shadow: Ganesha? = nil, _ write: (Bench) async throws -> String
        ) async throws {
            let seed = Seed()
            let folder = try TemporaryDirectory()
            let image = try Self.image(in: folder)
            let before = try TreeHash(of: image, modificationTimes: true)
            let main = try await Ganesha.start(directory: image)
            let state = try folder.directory("state")
            var serving = ["serve", main.export.url, "--session", "crash", "--state", state]
            if let shadow { serving += ["--shadow", shadow.export.url] }
            let proxy = try await RowctlProcess.start(serving)
            // Ends connections so that the client's kernel does not wait for seconds before it comes back,
            // and takes new ones while the proxy is away: libnfs does not bear being refused for long.
            let relay = try await FaultyTransport.start(target: proxy.export.port)
            try await relay.setPatient(true)
            let export = NFSExport(
                port: relay.port, mountPort: relay.port, path: proxy.export.path)
            var everything = Crasher.Victim.rowctl(proxy)
            var victims = [everything]
            if let shadow {
                everything = .all([.ganesha(shadow), .rowctl(proxy)])
                victims += [.ganesha(shadow), everything]
            }
            let bench = Bench(
                seed: seed, folder: folder, proxy: proxy, export: export,
                crasher: Crasher(
                    victims: victims, kills: Self.kills, generator: seed.makeGenerator()))
            let log = try CrashLog(try await write(bench))
            try await relay.stop()
            print(
                "\(Self.kills) kills, \(log.acknowledged) operations acknowledged,",
                "\(log.pending) pending in the end: \(seed)")
            #expect(log.workers.count == Self.workers, "\(bench)")

            // Nothing was in memory alone.
            try await everything.kill()
            try await everything.restart()
            let client = try await NFSClient.connect(NFSURL(proxy.export.url))
            for (number, worker) in log.workers {
                let tree = try await CrashTree(of: "worker\(number)", by: client)
                let differences = worker.states.map { tree.differences(from: $0) }
                let least = differences.min { $0.count < $1.count } ?? []
                #expect(least == [], "pending \(worker.pending ?? []) \(bench)")
            }
            await client.close()
            try await proxy.terminate()
            if let shadow { try await expectNoLeftovers(on: shadow, state: state) }
            let check = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), ["fsck", "crash", "--state", state])
            // What a server keeps is noted.
            let verdict = shadow == nil ? "clean" : "clean, 1 noted"
            #expect(check.output.hasSuffix("session crash: \(verdict)\n"), "\(check) \(bench)")
            try await main.stop()
            let after = try TreeHash(of: image, modificationTimes: true)
            #expect(after.differences(from: before) == [], "\(bench)")
        }

        private static func image(in folder: TemporaryDirectory) throws -> String {
            for worker in 0..<workers {
                let directory = try folder.directory("image/worker\(worker)")
                for index in 0..<CrashModel.mainFiles {
                    try Data(CrashModel.mainFile(index)).write(
                        to: URL(fileURLWithPath: "\(directory)/main\(index)"))
                }
            }
            return folder.path("image")
        }

        private struct Bench: CustomStringConvertible {
            let seed: Seed
            let folder: TemporaryDirectory
            let proxy: RowctlProcess
            /// How the writer reaches it.
            let export: NFSExport
            let crasher: Crasher

            var description: String { "\(proxy.errors) \(seed)" }

            /// - Returns: why it ended too soon.
            func makeKills(against writer: ChildProcess) async -> String? {
                var crasher = crasher
                do {
                    try await crasher.run(against: writer)
                    return nil
                } catch {
                    return "\(error)"
                }
            }
        }
    }
}
