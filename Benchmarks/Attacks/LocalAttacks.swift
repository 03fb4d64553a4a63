import Foundation
import Glibc
import ROWTestKit

/// Other users of the proxy's machine.
extension Attack {
    static let localUser = [
        Attack(name: "local: another user's verbs", isLocal: true) { attacker in
            let other = try OtherUser()
            let verbs = [
                ["ls"], ["stat-session", "victim"], ["diff", "victim"],
                ["snapshot", "victim", "mine"],
                ["rollback", "victim", "mine"], ["clone", "victim", "mine"], ["fsck", "victim"],
                ["rm", "victim", "--yes"], ["report", "victim", "--out", other.folder.path],
                ["serve", other.folder.path, "--session", "victim"],
            ]
            attacker.begin()
            var wrongs: Set<String> = []
            var tried = 0
            while !attacker.isStopped {
                let verb = verbs[tried % verbs.count]
                let result = try await other.run(
                    [other.folder.path("rowctl")] + verb + ["--state", attacker.state])
                if result.status == .exited(0) { wrongs.insert("'\(verb[0])' is let in") }
                if !result.errors.contains("belongs to root") {
                    wrongs.insert("'\(verb[0])' is not told why: \(result.errors)")
                }
                tried += 1
            }
            return Outcome(text: "none of \(tried) let in", wrongs: wrongs.sorted())
        },
        Attack(name: "local: rights given away", isLocal: true) { attacker in
            let other = try OtherUser()
            let image = try attacker.imageDirectory
            let socket = "\(image)/control.sock"
            // What only a mistake of root could do.
            let folder = URL(fileURLWithPath: attacker.state).deletingLastPathComponent().path
            let directories = [folder, attacker.state, "\(attacker.state)/images", image]
            for path in directories { chmod(path, 0o755) }
            chmod(socket, 0o666)
            defer { for path in directories { chmod(path, 0o700) } }
            attacker.begin()
            var (tried, answers, unheard) = (0, 0, 0)
            while !attacker.isStopped {
                for question in [#"{"status":{"session":"victim"}}"#, "{}", "x"] {
                    let result = try await other.send(question, toSocket: socket)
                    if !result.output.isEmpty { answers += 1 }
                    if result.errors.contains("cannot connect") { unheard += 1 }
                    tried += 1
                }
            }
            return Outcome(
                text: "none of \(tried) answered",
                wrongs: (answers > 0 ? ["\(answers) of \(tried) answered"] : [])
                    + (unheard > 0 ? ["\(unheard) of \(tried) did not reach the socket"] : []))
        },
        Attack(name: "local: planted links and pipes", isLocal: true) { attacker in
            let folder = try TemporaryDirectory("rowfs-attack-planted")
            let victim = try folder.file("victim", "of somebody else")
            let session = "\(attacker.state)/sessions/victim"
            let places =
                [
                    "status.json", "status.json.new", "history", "history.new", "touched",
                    "mount.json",
                ]
                .map { "\(session)/\($0)" } + [
                    folder.path("report-victim.html"), folder.path("out"),
                ]
            attacker.begin()
            var (rounds, wrongs) = (0, Set<String>())
            while !attacker.isStopped {
                for place in places {
                    unlink(place)
                    let code =
                        switch rounds % 3 {
                        case 0: symlink(victim, place)
                        case 1: symlink(folder.path("new"), place)
                        default: mkfifo(place, 0o666)
                        }
                    if code != 0, errno != EEXIST {
                        throw AttackFailure(description: "cannot plant \(place): \(errno)")
                    }
                }
                let rowctl = try ProjectPaths.builtProgram("rowctl")
                for verb in [
                    ["stat-session", "victim"], ["mark", "victim", "now"], ["ls"],
                    ["report", "victim", "--out", folder.path],
                    ["bugreport", "--output", folder.path("out")],
                ] {
                    // Some are refused: none may wait, or write elsewhere.
                    _ = try await Tool.result(
                        of: rowctl, verb + ["--state", attacker.state], within: .seconds(30))
                }
                if try String(contentsOfFile: victim, encoding: .utf8) != "of somebody else" {
                    wrongs.insert("a link was written through")
                }
                if FileManager.default.fileExists(atPath: folder.path("new")) {
                    wrongs.insert("a file was made where a link leads")
                }
                rounds += 1
            }
            for place in places { unlink(place) }
            return Outcome(
                text: "\(rounds * places.count) planted, none written through",
                wrongs: wrongs.sorted())
        },
    ]
}
