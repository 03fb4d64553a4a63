import Foundation
import Glibc
import NFSProtocol
import ONCRPC
import ROWTestKit
import XDR

/// Something that a client, or another user of the machine, does which means no good.
struct Attack: Sendable {
    struct Outcome {
        var text: String
        /// What was let in or lost.
        var wrongs: [String] = []
    }

    let name: String
    /// Whether it is of another user of the machine.
    var isLocal = false
    /// Attacks until it is stopped.
    let run: @Sendable (Attacker) async throws -> Outcome

    static let all = floods + tricks + localUser
}

// MARK: Floods

extension Attack {
    private static let connections = 500

    private static let floods = [
        Attack(name: "takes no replies") { attacker in
            let (_, _, file) = try attacker.enter()
            let read = NFS3.Read.Arguments(
                file: NFS3.FileHandle(file)!, offset: 0, count: 1 << 20)
            let call = Message.nfs(xid: 1, .read, read)
            let sockets = attacker.connect(connections)
            // Many at a time: what is meant to be busy is the server.
            let calls = [[UInt8]](repeating: call, count: 64).flatMap(\.self)
            let sent = flood(attacker, sockets, calls)
            return Outcome(text: "\(sockets.count) connections, \(sent / call.count) calls taken")
        },
        Attack(name: "10,000 connections") { attacker in
            // Each that is refused is over at once, so that there are always more to come.
            var sockets: [AttackSocket] = []
            while !attacker.isStopped {
                if sockets.count < 10_000 {
                    sockets += attacker.connect(100)
                } else {
                    usleep(10_000)
                }
                if sockets.count >= 2000 { attacker.begin() }
            }
            let open = sockets.count { !$0.isOver }
            return Outcome(
                text: "\(open) of \(sockets.count) stayed open",
                wrongs: open > 512 ? ["one client has \(open) connections"] : [])
        },
        Attack(name: "one byte a second") { attacker in
            let record = Message.record(
                Message.call(xid: 1, procedure: 1, [UInt8](repeating: 0, count: 600)))
            let sockets = attacker.connect(connections)
            attacker.begin()
            var sent = 0
            while !attacker.isStopped {
                for socket in sockets { _ = socket.sendSome([record[sent % record.count]]) }
                sent += 1
                usleep(1_000_000)
            }
            return Outcome(text: "\(sockets.count) connections, \(sent) bytes on each")
        },
        Attack(name: "empty fragments") { attacker in
            let fragments = [UInt8](repeating: 0, count: 4000)
            var (sockets, sent, ended) = (attacker.connect(connections), 0, 0)
            attacker.begin()
            while !attacker.isStopped {
                for index in sockets.indices {
                    let count = sockets[index].sendSome(fragments)
                    if count >= 0 {
                        sent += count
                    } else if let other = attacker.connect() {
                        ended += 1
                        sockets[index] = other
                    }
                }
            }
            return Outcome(
                text: "\(sent / 4) fragments, \(ended) connections ended",
                wrongs: ended == 0 ? ["no connection was ended"] : [])
        },
        Attack(name: "unfinished large records") { attacker in
            let sockets = attacker.connect(connections)
            let bytes = [UInt8](repeating: 0, count: RecordScanner.recordBytesMaximum - 1)
            let record =
                Message.mark(RecordScanner.recordBytesMaximum)
                + bytes
            var left = [Int](repeating: 0, count: sockets.count)
            var rounds = 0
            while !attacker.isStopped {
                for index in sockets.indices where left[index] < record.count {
                    left[index] += max(0, sockets[index].sendSome(Array(record[left[index]...])))
                }
                rounds += 1
                if rounds == 20 { attacker.begin() }
                usleep(10_000)
            }
            let whole = left.count { $0 == record.count }
            let open = sockets.count { !$0.isOver }
            return Outcome(
                text: "\(whole) of \(sockets.count) sent all but the end, \(open) stayed open")
        },
    ]

    /// Sends the same again and again on all connections, as far as it is taken.
    private static func flood(
        _ attacker: Attacker, _ sockets: [AttackSocket], _ bytes: [UInt8]
    ) -> Int {
        var offsets = [Int](repeating: 0, count: sockets.count)
        var (sent, idle) = (0, 0)
        while !attacker.isStopped {
            var isTaken = false
            for index in sockets.indices {
                let count = max(0, sockets[index].sendSome(Array(bytes[offsets[index]...])))
                offsets[index] = (offsets[index] + count) % bytes.count
                sent += count
                isTaken = isTaken || count > 0
            }
            idle = isTaken ? 0 : idle + 1
            if idle >= 20 { attacker.begin() }
            if !isTaken { usleep(10_000) }
        }
        return sent
    }
}

// MARK: Tricks

extension Attack {
    private static let tricks = [
        Attack(name: "guessed handles") { attacker in
            let (socket, root, file) = try attacker.enter()
            attacker.begin()
            var (tried, accepted) = (0, 0)
            var random = SystemRandomNumberGenerator()
            while !attacker.isStopped {
                var guess = tried % 2 == 0 ? root : file
                if tried % 3 == 0 {
                    guess = guess.map { _ in UInt8.random(in: 0...255, using: &random) }
                } else {
                    guess[Int.random(in: 0..<guess.count, using: &random)] ^=
                        UInt8(1 << Int.random(in: 0..<8, using: &random))
                }
                let answer = try socket.call(procedure: 1, NFS3.FileHandle(guess)!.encoded())
                if answer.prefix(4).elementsEqual([0, 0, 0, 0]) { accepted += 1 }
                tried += 1
            }
            return Outcome(
                text: "none of \(tried) accepted",
                wrongs: accepted > 0 ? ["\(accepted) of \(tried) accepted"] : [])
        },
        Attack(name: "replayed numbers of calls") { attacker in
            let (socket, root, _) = try attacker.enter()
            let (other, _, _) = try attacker.enter()
            attacker.begin()
            var (rounds, wrongs) = (0, [String]())
            let directory = NFS3.FileHandle(root)!
            while !attacker.isStopped {
                let names = ["a\(rounds)", "b\(rounds)"].map { NFS3.Filename($0) }
                let calls = names.map {
                    NFS3.Create.Arguments(
                        location: NFS3.DirectoryOperation(directory: directory, name: $0),
                        how: .guarded(NFS3.SetAttributes(mode: 0o600))
                    ).encoded()
                }
                let xid = UInt32(truncatingIfNeeded: 1_000_000 + rounds)
                let first = try socket.call(procedure: 8, calls[0], xid: xid)
                // The same again is the same call; another call with its number is another call.
                if try socket.call(procedure: 8, calls[0], xid: xid) != first {
                    wrongs = ["a call that was sent again was carried out again"]
                }
                let second = try other.call(procedure: 8, calls[1], xid: xid)
                if !second.prefix(4).elementsEqual([0, 0, 0, 0]) {
                    wrongs = ["another call with a number of before was taken for that"]
                }
                for name in names {
                    let gone = try socket.call(
                        procedure: 12,
                        NFS3.DirectoryOperation(directory: directory, name: name).encoded())
                    if !gone.prefix(4).elementsEqual([0, 0, 0, 0]) {
                        wrongs = ["what was made is not there"]
                    }
                }
                rounds += 1
            }
            return Outcome(text: "\(rounds) rounds, each call once", wrongs: wrongs)
        },
        Attack(name: "paths that lead out") { attacker in
            let (socket, root, file) = try attacker.enter()
            attacker.begin()
            var wrongs: Set<String> = []
            var tried = 0
            let names = [
                "..", ".", "", "/", "../secret", "a/b", "victim/../../secret", "\0", "a\0b",
                String(repeating: "n", count: 256), String(repeating: "n", count: 4096), "..\0",
            ].map { NFS3.Filename($0) }
            let directory = NFS3.FileHandle(root)!
            let settings = NFS3.SetAttributes(mode: 0o700).encoded()
            while !attacker.isStopped {
                for name in names {
                    let place = NFS3.DirectoryOperation(directory: directory, name: name).encoded()
                    let found = try socket.call(procedure: 3, place)
                    if let result = try? NFS3.Lookup.Result(decoding: found),
                        case .ok(let success) = result, success.object.array != root
                    {
                        wrongs.insert("'\(name)' leads to something")
                    }
                    let target = Message.words(4) + Array("data".utf8)
                    let changes: [(UInt32, [UInt8])] = [
                        (8, place + Message.words(1) + settings), (9, place + settings),
                        (10, place + settings + target),
                        (15, NFS3.FileHandle(file)!.encoded() + place), (12, place), (13, place),
                    ]
                    for (procedure, arguments) in changes {
                        let answer = try socket.call(procedure: procedure, arguments)
                        if answer.prefix(4).elementsEqual([0, 0, 0, 0]) {
                            wrongs.insert("procedure \(procedure) takes '\(name)'")
                        }
                    }
                    tried += 1 + changes.count
                }
                for path in ["/victim/../../secret", "/..", "/victim/..", "//victim/../secret"] {
                    let answer = try socket.call(
                        program: Mount.program, procedure: 1, Mount.DirectoryPath(path).encoded())
                    // Above the root there is the root, as everywhere.
                    if case .ok(let success)? = try? Mount.Mnt.Result(decoding: answer),
                        success.handle.array != root
                    {
                        wrongs.insert("\(path) can be mounted")
                    }
                    tried += 1
                }
            }
            return Outcome(text: "none of \(tried) taken", wrongs: wrongs.sorted())
        },
    ]
}
