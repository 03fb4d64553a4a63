import Foundation
import Glibc
import NFSClient
import NFSProtocol
import ROWTestKit
import Synchronization
import Testing

extension Integration {
    /// Listings of a directory of 100,000 entries of main while another client adds and removes.
    @Suite struct LargeListingTests {
        private static let count = 100_000
        /// Names that begin so are removed while the listing goes on.
        private static let passing = "passing"

        @Test func nothingThatStandsIsLostOrRepeatedWhileOthersChangeTheDirectory() async throws {
            let folder = try TemporaryDirectory()
            let directory = try folder.directory("image/large")
            var standing: Set<String> = []
            for number in 0..<Self.count {
                let isPassing = number.isMultiple(of: 50)
                let name = "\(isPassing ? Self.passing : "standing")-\(number)"
                if !isPassing { standing.insert(name) }
                let file = open("\(directory)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                try #require(file >= 0)
                close(file)
            }
            let main = try await Ganesha.start(directory: folder.path("image"))
            for procedure in [NFS3.Procedure.readdirplus, .readdir] {
                try await list(
                    main, by: procedure, standing: standing,
                    state: try folder.directory("state-\(procedure.name)"))
            }
            try await main.stop()
        }

        /// Lists the directory in a session of its own, on an image of which nothing is known.
        private func list(
            _ main: Ganesha, by procedure: NFS3.Procedure, standing: Set<String>, state: String
        ) async throws {
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "listing", "--state", state,
            ])
            let reader = try await NFSClient.connect(NFSURL(proxy.export.url))
            let changer = try await NFSClient.connect(NFSURL(proxy.export.url))
            let large = try await reader.object("large", in: reader.rootHandle)

            let clock = ContinuousClock()
            let start = clock.now
            var listing = Listing(client: reader, directory: large, procedure: procedure)
            var seen = try await listing.next()
            let first = clock.now - start
            let status = try await SessionStatus.read(session: "listing", state: state)
            // Some pages are fetched ahead of the client: 4096 entries, of hundreds of pages a few.
            #expect((1...40).contains(status.calls.main["READDIRPLUS", default: 0]))
            #expect(!listing.isAtEnd)

            let isListed = Atomic(false)
            async let changes = Self.change(large, by: changer, until: isListed)
            while !listing.isAtEnd { seen += try await listing.next() }
            isListed.store(true, ordering: .relaxed)
            let changed = try await changes
            print(
                "listing of \(Self.count) entries by \(procedure.name):",
                "first page \(first), all \(clock.now - start), meanwhile \(changed) changes")
            #expect(changed > 0)

            var times: [String: Int] = [:]
            for name in seen { times[name, default: 0] += 1 }
            let lost = standing.filter { times[$0] == nil }
            let repeated = times.filter { $0.value > 1 }.keys
            #expect(lost.isEmpty, "\(lost.count) lost, such as \(lost.prefix(3))")
            #expect(repeated.isEmpty, "\(repeated.count) repeated, such as \(repeated.prefix(3))")
            await reader.close()
            await changer.close()
            try await proxy.terminate()
        }

        /// Adds a name and removes one of main's, again and again; some of the added ones too.
        /// - Returns: how many times.
        private static func change(
            _ directory: NFS3.FileHandle, by client: NFSClient, until isOver: borrowing Atomic<Bool>
        ) async throws -> Int {
            var changes = 0
            while !isOver.load(ordering: .relaxed) {
                let made = NFS3.Filename(Array("made-\(changes)".utf8))
                let result = try await client.create(
                    made, in: directory, .guarded(NFS3.SetAttributes(mode: 0o644)))
                #expect(result.status == .ok)
                var victims = ["\(passing)-\(changes * 50)"]
                if changes.isMultiple(of: 2) { victims.append("made-\(changes)") }
                for victim in victims where changes * 50 < count || victim != victims[0] {
                    let name = NFS3.Filename(Array(victim.utf8))
                    let removed = try await client.remove(name, in: directory)
                    #expect(removed.status == .ok, "\(victim)")
                }
                changes += 1
            }
            return changes
        }
    }
}
