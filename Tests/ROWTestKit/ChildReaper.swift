import Foundation
import Glibc

/// Ends the processes that tests started when the test run itself ends, even by a crash: a shell
/// that is told of every child and notices, by the end of its input, that the run is over.
final class ChildReaper: Sendable {
    static let shared = ChildReaper()

    private let pipe: Int32

    private static let script = """
        children=
        while read -r change id; do
            case $change in
                +) children="$children $id" ;;
                -) others=
                    for child in $children; do
                        [ "$child" = "$id" ] || others="$others $child"
                    done
                    children=$others ;;
            esac
        done
        [ -n "$children" ] || exit 0
        for child in $children; do kill -s TERM -- "-$child"; done
        sleep 2
        for child in $children; do kill -s KILL -- "-$child"; done
        """

    private init() {
        var ends: [Int32] = [-1, -1]
        // No child may inherit the writing end: the reaper would wait for that child too.
        guard Glibc.pipe(&ends) == 0, fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0 else {
            preconditionFailure("pipe: errno \(errno)")
        }
        do {
            _ = try spawn(
                ["/bin/sh", "-c", Self.script], environment: ["PATH=/usr/bin:/bin"],
                input: ends[0], output: "/dev/null", errors: "/dev/null")
        } catch {
            preconditionFailure("cannot start a shell: \(error)")
        }
        close(ends[0])
        pipe = ends[1]
    }

    func add(_ id: pid_t) { tell("+ \(id)\n") }
    func remove(_ id: pid_t) { tell("- \(id)\n") }

    /// A line is shorter than PIPE_BUF, so lines of several threads do not mix.
    private func tell(_ line: String) {
        _ = line.withCString { write(pipe, $0, strlen($0)) }
    }
}
