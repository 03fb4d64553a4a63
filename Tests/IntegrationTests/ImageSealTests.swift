import Foundation
import Glibc
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

extension Integration {
    /// What it costs to seal many small files, and to seal them again.
    @Suite struct ImageSealTests {
        private static let directories = isLongRun ? 2000 : 100
        private static let filesPerDirectory = 500

        @Test func aTreeOfManySmallFilesIsSealedInBoundedMemory() async throws {
            let folder = try TemporaryDirectory()
            let tree = try makeTree(folder)
            let count = Self.directories * Self.filesPerDirectory
            var rootHashes: Set<String> = []
            for what in ["first", "second"] {
                let (report, resident) = try await seal(tree)
                print(
                    "\(what) seal of \(report.files) files: \(report.seconds) s, manifest "
                        + "\(report.manifestBytes) bytes, \(report.manifestBytes / count) per file, "
                        + "\(report.bytesRead) bytes read, memory \(resident >> 20) MiB")
                #expect(report.files == count && report.chunks == count)
                #expect(report.bytesRead == (what == "first" ? report.bytes : 0))
                #expect(resident < 128 << 20)
                rootHashes.insert(report.rootHash)
            }
            #expect(rootHashes.count == 1)
        }

        /// A proxy loads the manifest, and clients see all there is.
        @Test func aManifestOfManySmallFilesIsLoadedInBoundedMemory() async throws {
            let folder = try TemporaryDirectory()
            let tree = try makeTree(folder)
            let count = Self.directories * Self.filesPerDirectory
            let (report, _) = try await seal(tree)
            let main = try await Ganesha.start(directory: tree)
            let state = try folder.directory("state")
            var start = ContinuousClock.now
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "s", "--state", state,
            ])
            let loaded = try await poll(for: "manifest that is loaded", within: .seconds(300)) {
                let status = try await SessionStatus.read(session: "s", state: state)
                return status.manifest?.state == "loaded" ? status : nil
            }
            let loading = ContinuousClock.now - start
            #expect(loaded.manifest?.root == report.rootHash)
            start = .now
            let client = try await NFSClient.connect(NFSURL(proxy.export.url))
            let found = try await countFiles(client.rootHandle, client)
            let walking = ContinuousClock.now - start
            #expect(found == count)
            let resident = try ProcessMemory.residentBytes(of: proxy.processID)
            print(
                "manifest of \(count) files, \(report.manifestBytes) bytes: loaded in \(loading), all "
                    + "listed in \(walking), memory \(resident >> 20) MiB")
            #expect(resident < 256 << 20)
            let calls = try await SessionStatus.read(session: "s", state: state).calls.main
            #expect(Set(calls.keys).isSubset(of: ["READ"]), "\(calls)")
            await client.close()
            try await proxy.terminate()
            try await main.stop()
        }

        private func countFiles(
            _ directory: NFS3.FileHandle, _ client: NFSClient
        ) async throws -> Int {
            var count = 0
            var inner: [NFS3.FileHandle] = []
            var cookie: UInt64 = 0
            while true {
                let result = try await client.readdirplus(
                    directory, cookie: cookie, dircount: 65_536, maxcount: 262_144)
                guard case .ok(let page) = result else {
                    Issue.record("READDIRPLUS answers \(result.status)")
                    return count
                }
                for entry in page.entries where ![".", ".."].contains(entry.name.description) {
                    if entry.attributes?.type == .directory {
                        if let handle = entry.handle { inner.append(handle) }
                    } else {
                        count += 1
                    }
                }
                cookie = page.entries.last?.cookie ?? cookie
                if page.eof { break }
            }
            for handle in inner { count += try await countFiles(handle, client) }
            return count
        }

        private struct Report: Codable {
            var files: Int
            var bytes: Int
            var bytesRead: Int
            var chunks: Int
            var manifestBytes: Int
            var seconds: Double
            var rootHash: String
        }

        /// - Returns: also the most memory that the process took, in bytes.
        private func seal(_ tree: String) async throws -> (Report, resident: Int) {
            let result = try await Tool.result(
                of: "time",
                [
                    "-f", "%M", try ProjectPaths.builtProgram("rowctl"), "image", "seal", tree,
                    "--json",
                ],
                within: .seconds(900))
            #expect(result.status == .exited(0), "\(result)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let report = try decoder.decode(Report.self, from: Data(result.output.utf8))
            let kibibytes = Int(result.errors.split(separator: "\n").last ?? "")
            return (report, try #require(kibibytes) << 10)
        }

        private func makeTree(_ folder: TemporaryDirectory) throws -> String {
            for directory in 0..<Self.directories {
                let path = try folder.directory("tree/\(directory % 50)/dir-\(directory)")
                for number in 0..<Self.filesPerDirectory {
                    let text = "file \(number) of directory \(directory)\n"
                    let file = open(
                        "\(path)/file-\(number).txt", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                    try #require(file >= 0)
                    let written = write(file, text, text.utf8.count)
                    close(file)
                    try #require(written == text.utf8.count)
                }
            }
            return folder.path("tree")
        }
    }
}
