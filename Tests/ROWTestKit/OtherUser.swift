import Foundation
import Glibc

/// A user who is neither this one nor root, with a copy of the project's program that he may run.
public final class OtherUser: Sendable {
    /// `nobody` of Debian.
    public static let id: UInt32 = 65_534

    /// His own directory.
    public let folder: TemporaryDirectory
    private let program: String

    /// - Throws: ``MissingTool`` unless this user is root, who alone can become another.
    public init() throws {
        guard geteuid() == 0 else {
            throw MissingTool(name: "root", remedy: "run this test as root")
        }
        folder = try TemporaryDirectory("rowfs-other")
        // The build may lie where he may not look.
        program = folder.path("rowctl")
        try FileManager.default.copyItem(
            atPath: try ProjectPaths.builtProgram("rowctl"), toPath: program)
        guard chown(folder.path, Self.id, Self.id) == 0, chmod(program, 0o755) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EPERM)
        }
    }

    /// Has him run `rowctl`.
    public func rowctl(_ arguments: String...) async throws -> Tool.Result {
        try await run([program] + arguments)
    }

    /// Has him run a command.
    public func run(_ words: [String]) async throws -> Tool.Result {
        try await Tool.result(
            of: "setpriv",
            [
                "--reuid=\(Self.id)", "--regid=\(Self.id)", "--clear-groups", "env",
                "HOME=\(folder.path)",
            ] + words)
    }

    /// Has him send a line to a socket.
    /// - Returns: what comes back until the other side closes it.
    public func send(_ line: String, toSocket path: String) async throws -> Tool.Result {
        let script = """
            use IO::Socket::UNIX;
            my ($folder, $name) = $ARGV[0] =~ m{(.*)/(.*)};
            # An address has 107 bytes.
            chdir($folder) or die "cannot connect: $!\\n";
            my $socket = IO::Socket::UNIX->new(Peer => $name) or die "cannot connect: $!\\n";
            $SIG{PIPE} = "IGNORE";
            print $socket "$ARGV[1]\\n";
            $socket->flush();
            print while <$socket>;
            """
        return try await run(["perl", "-e", script, path, line])
    }
}
