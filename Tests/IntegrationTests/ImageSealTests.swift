import Foundation
import Glibc
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
