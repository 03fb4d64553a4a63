import Glibc
import ROWTestKit

/// Two networks of their own with a cable between them: `boot0` in one, with 10.77.3.1 and fd77:3::1, for what
/// is tested, and `client0` in the other, with 10.77.3.9. They are removed with the last reference.
final class NetworkNamespace: Sendable {
    let name = "rowfs-test-\(UInt32.random(in: 0 ... .max))"
    private var clientName: String { name + "-c" }

    /// Before a command that is to run where the tested program does, or where machines are.
    var launcher: [String] { ["ip", "netns", "exec", name] }
    var clientLauncher: [String] { ["ip", "netns", "exec", clientName] }

    init() async throws {
        try await runTool("ip", ["netns", "add", name])
        try await runTool("ip", ["netns", "add", clientName])
        let commands = """
            -n \(name) link set lo up
            -n \(name) link add boot0 type veth peer name client0 netns \(clientName)
            -n \(name) address add 10.77.3.1/24 dev boot0
            -n \(name) address add fd77:3::1/64 dev boot0 nodad
            -n \(name) link set boot0 up
            -n \(clientName) address add 10.77.3.9/24 dev client0
            -n \(clientName) link set client0 up
            """
        for command in commands.split(separator: "\n") {
            try await runTool("ip", command.split(separator: " ").map(String.init))
        }
    }

    deinit {
        for name in [name, clientName] { system("ip netns delete \(name)") }
    }
}
