import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// The README does what it says: its commands run as they are printed, in the guest, one by one.
    @Suite struct ReadmeTests {
        @Test func everyCommandOfTheReadmeWorksAsPrinted() async throws {
            let folder = try TemporaryDirectory()
            let readme = try String(
                contentsOf: ProjectPaths.root.appendingPathComponent("README.md"),
                encoding: .utf8)
            let use = try #require(readme.range(of: "\n## Use\n"))
            let commands = Self.commands(of: readme[use.upperBound...])
            // What builds is not for the guest: it has this build's program.
            let building = commands.filter { $0.hasPrefix("swift ") || $0.hasPrefix("export PATH") }
            #expect(
                building == [
                    "swift build -c release --product rowctl",
                    "export PATH=\"$PWD/.build/release:$PATH\"",
                ])
            let running = commands.filter { !building.contains($0) }
            #expect(running.count >= 12)
            let result = try await Guest(memoryMiB: 1536).run(
                "echo '127.0.0.1 localhost' >/etc/hosts\n"
                    + running.enumerated().map(Self.step).joined(separator: "\n")
                    + "\ngrep private /etc/hosts && fail 'the image changed'; true\n",
                programs: [try await MountVerbTests.program(in: folder)])
            #expect(result.exitCode == 0, "\(result)")
            for words in [
                "changed /hosts: content", "WRITE", "mounted session bob", "passwd",
                "removed session alice",
            ] {
                #expect(result.output.contains(words), "no '\(words)': \(result)")
            }
        }

        /// The lines of the code blocks, those with a figure left out.
        private static func commands(of text: Substring) -> [String] {
            text.split(separator: "\n").filter { $0.hasPrefix("    ") }
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }

        /// Runs a command; one in the background is waited for until it says that it is ready.
        private static func step(_ index: Int, _ command: String) -> String {
            guard command.hasSuffix("&") else {
                return "\(command) || fail 'failed: line \(index)'"
            }
            return """
                mkfifo /tmp/ready.\(index)
                \(command.dropLast()) >/tmp/ready.\(index) &
                read -r ready </tmp/ready.\(index)
                case $ready in "ready: mount "*) ;; *) fail "not ready: line \(index)" ;; esac
                """
        }
    }
}
