import Foundation
import ROWTestKit
import Synchronization
import Testing

extension Integration {
    /// An appliance through its life, as a kernel's client sees it: published, used, published anew while the old
    /// version is in use, retired, and collected when nobody uses it any more.
    @Suite struct ApplianceTests {
        private static let files = 20
        private static let fileBytes = 1 << 20
        private static let blockBytes = 1 << 16
        private static var blocks: Int { files * fileBytes / blockBytes }
        /// 5 % of them, one each in the first files.
        private static var changedBlocks: Int { blocks / 20 }

        @Test func aVersionIsUsedReplacedAndCollected() async throws {
            let folder = try TemporaryDirectory()
            let seed = Seed()
            let old = try folder.directory("v1")
            for number in 0..<Self.files {
                try Pattern(Seed(seed.value &+ UInt64(number))).write(
                    Self.fileBytes, to: "\(old)/file\(number)")
            }
            let new = folder.path("v2")
            try await runTool("cp", ["-a", old, new])
            for number in 0..<Self.changedBlocks {
                let file = try #require(
                    FileHandle(forUpdatingAtPath: "\(new)/file\(number % Self.files)"))
                try file.seek(toOffset: UInt64((3 + number / Self.files) * Self.blockBytes + 17))
                try file.write(contentsOf: Data("another version".utf8))
                try file.close()
            }
            let catalogue = Publisher(folder)
            let (first, second) = (
                try await Ganesha.start(directory: old), try await Ganesha.start(directory: new)
            )
            let name = try await catalogue.run("keygen", "app")
                .trimmingCharacters(in: .whitespacesAndNewlines)
            try await catalogue.publish("1", old, at: first)
            let state = try folder.directory("state")
            @Sendable func serve(_ session: String) async throws -> RowctlProcess {
                try await RowctlProcess.start([
                    "serve", "appliance://\(name)", "--session", session, "--state", state,
                    "--catalogue", catalogue.path,
                ])
            }
            let one = try await serve("one")
            let later = Mutex<RowctlProcess?>(nil)
            let result = try await Guest(limit: .seconds(200)).run(
                """
                mkdir -p /one /two
                nfs_mount \(one.export.mountWords) /one || fail "no mount"
                sums() { (cd "$1" && md5sum file* | sort); }
                sums /one >/before; echo mine >/one/mine || fail "no write"
                proxy=$(host publish) || fail "$proxy"
                nfs_mount $proxy /two || fail "no second mount"
                echo "-- new"; sums /two
                [ ! -e /two/mine ] || fail "sessions share changes"
                forget
                sums /one >/after; cmp /before /after || fail "the old version changed"
                cat /one/mine; echo "-- old"; cat /before
                umount /one; umount /two
                """,
                programs: ["md5sum"],
                hostCommands: [
                    "publish": { _ in
                        try await catalogue.publish("2", new, at: second)
                        let two = try await serve("two")
                        later.withLock { $0 = two }
                        return two.export.mountWords
                    }
                ])
            #expect(result.exitCode == 0, "\(result)")
            let started = later.withLock { $0 }
            let two = try #require(started)
            let sections = result.output.components(separatedBy: "-- ")
            try #require(sections.count == 3)
            #expect(sections[1].hasPrefix("new\n"))
            #expect(try await sections[1].contains(Self.sums(new)))
            #expect(try await sections[2].contains(Self.sums(old)))
            #expect(sections[1].hasSuffix("mine\n"))

            let status = try await SessionStatus.read(session: "two", state: state)
            #expect(status.image == "appliance://\(name)/2")
            let changed = Self.changedBlocks * Self.blockBytes
            let manifest = try #require(
                FileManager.default.attributesOfItem(atPath: "\(new)/.rowfs/manifest.sqlite")[.size]
                    as? Int)
            print(
                "version 2, of which \(changed) bytes of \(Self.blocks * Self.blockBytes) are new: "
                    + "\(status.bytes.fromMain) bytes fetched, \(manifest) of them the manifest, "
                    + "\(status.manifest?.copiedBytes ?? 0) copied from version 1")
            #expect(status.bytes.fromMain <= changed + manifest)
            #expect(status.manifest?.wrong == 0)

            // In use, then not: retired, it goes when its leases have run out.
            try await catalogue.run("retire", name, "1")
            let refused = try await catalogue.run("gc")
            #expect(refused.contains("kept version 1 of \(name): 1 client uses it"), "\(refused)")
            try await one.kill()
            let kept = try await poll(for: "end of the lease", within: .seconds(60)) {
                let text = try await catalogue.run("gc", "--dry-run")
                return text.contains("1 client uses it") ? nil : text
            }
            #expect(kept.contains("kept version 1"), "\(kept)")
            let collected = try await poll(for: "collection", within: .seconds(60)) {
                let text = try await catalogue.run("gc")
                return text.contains("kept version 1") ? nil : text
            }
            print(collected)
            // What runs goes on, and a session that is served again stands where it stood.
            try await two.terminate()
            let continued = try await serve("two")
            #expect(
                try await SessionStatus.read(session: "two", state: state).image
                    == "appliance://\(name)/2")
            try await continued.terminate()
            try await first.stop()
            try await second.stop()
        }

        private static func sums(_ directory: String) async throws -> String {
            try await runTool("sh", ["-c", "cd '\(directory)' && md5sum file* | sort"])
        }

        /// Where versions are published, and by whom.
        private struct Publisher: Sendable {
            let path: String
            private let state: String
            private static let leaseSeconds = 3

            init(_ folder: TemporaryDirectory) {
                path = folder.path("catalogue.sqlite")
                state = folder.path("publisher")
            }

            @discardableResult
            func run(_ words: String...) async throws -> String {
                try await run(words)
            }

            private func run(_ words: [String]) async throws -> String {
                var arguments = ["appliance"] + words + ["--state", state]
                if words[0] != "keygen" { arguments += ["--catalogue", path] }
                return try await RowctlProcess.run(arguments)
            }

            /// Seals a tree and publishes it.
            func publish(_ version: String, _ tree: String, at server: Ganesha) async throws {
                try await RowctlProcess.run(["image", "seal", tree])
                let sums = try await runTool("sha256sum", ["\(tree)/.rowfs/manifest.sums"])
                _ = try await run([
                    "publish", "app", version, "--at", server.export.url, "--manifest",
                    String(sums.prefix(64)), "--lease", "\(Self.leaseSeconds)",
                ])
            }
        }
    }
}
