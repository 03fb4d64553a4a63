import Foundation
import ROWTestKit
import Testing

extension Integration {
    /// `--register` with a real rpcbind, in a network of its own.
    @Suite struct RegisterTests {
        @Test func whatIsServedIsRegisteredWithRpcbindUntilTheEnd() async throws {
            let folder = try TemporaryDirectory()
            let image = try folder.directory("image")
            let script = """
                listed() { rpcinfo -p 127.0.0.1 | awk '$1 != 100000 && NR > 1 { print $1, $2, $3, $5 }'; }
                # start NAME : serves a session in the background; waits for its ready line.
                start() {
                    mkfifo "$1.out"
                    "$rowctl" serve "$image" --session "$1" --state "state-$1" --register >"$1.out" &
                    read -r ready <"$1.out" || return 1
                }
                cd "\(folder.path)"; image="\(image)"; rowctl="\(try ProjectPaths.builtProgram("rowctl"))"
                start first || exit 1
                first=$!
                ports=$(rpcinfo -p 127.0.0.1 | awk '$1 == 100003 || $1 == 100005 { print $4 }' | sort -u)
                [ "$ports" = "$(echo "$ready" | sed 's/.*,port=\\([0-9]*\\),.*/\\1/')" ] || exit 2
                listed
                "$rowctl" serve "$image" --session second --state state-second --register 2>&1 && exit 3
                listed
                kill "$first"; wait "$first" || exit 4
                echo "ended"; listed
                """
            let result = try await Tool.result(
                of: ProjectPaths.labScript("with-rpcbind"), ["/bin/bash", "-c", script])
            #expect(result.status == .exited(0), "\(result)")
            var lines = result.output.split(separator: "\n").map(String.init)
            let refusals = lines.filter { $0.hasPrefix("rowctl: ") }
            #expect(refusals.count == 1 && refusals[0].contains("already"), "\(refusals)")
            lines.removeAll { $0.hasPrefix("rowctl: ") }
            let services = ["100003 3 tcp nfs", "100005 1 tcp mountd", "100005 3 tcp mountd"]
            #expect(lines == services + services + ["ended"], "\(result)")
        }

        @Test func withoutRpcbindItIsSaidSo() async throws {
            let folder = try TemporaryDirectory()
            let result = try await Tool.result(
                of: Tool.find("unshare"),
                [
                    "--net", "--mount", "/bin/sh", "-c",
                    """
                    ip link set lo up; mount -t tmpfs run /run
                    exec "$1" serve "$2" --session s --state "$3" --register
                    """, "sh", ProjectPaths.builtProgram("rowctl"),
                    folder.directory("image"), folder.path("state"),
                ])
            #expect(result.status == .exited(1))
            #expect(result.errors.contains("no rpcbind answers"), "\(result)")
        }
    }
}
