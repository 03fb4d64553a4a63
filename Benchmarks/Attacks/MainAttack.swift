import NFSProtocol
import ONCRPC
import ROWTestKit
import Synchronization
import XDR

/// Something that the server of an image does which means no good.
struct MainAttack: Sendable {
    let name: String
    /// Whether what it tells of names and attributes may come true: an image is what its server says first.
    var tellsNames = false
    /// What clients get right answers of that ask for what only it has.
    var leaves = Leaves.something
    /// Answers a call instead of the server that means well; nil where that may.
    let answer: @Sendable (SimulatedNFSServer.Exchange, _ number: Int) -> [UInt8]?
}

extension MainAttack {
    enum Leaves {
        case everything, something, nothing
    }

    static let all: [MainAttack] = [
        MainAttack(name: "main: wrong lengths") { call, number in wrongLengths(call, number) },
        MainAttack(name: "main: endless listing", tellsNames: true) { call, number in
            guard let directory = directory(of: call) else { return nil }
            let entries = (0..<400).map { index in
                entry("\(number)-\(index)", cookie: UInt64(number * 400 + index + 3), in: directory)
            }
            return call.record(page(entries, isLast: false))
        },
        MainAttack(name: "main: listing in circles", tellsNames: true) { call, number in
            guard let directory = directory(of: call) else { return nil }
            let fresh = UInt64(number) * 1000 + 1
            let entries: [NFS3.Readdirplus.Entry] =
                switch directory.array.last.map({ $0 % 4 }) {
                // The same page with the same cookies; the same names with others; dots alone; nothing.
                case 0: (1...50).map { entry("same\($0)", cookie: UInt64($0), in: directory) }
                case 1:
                    (1...50).map { entry("same\($0)", cookie: fresh + UInt64($0), in: directory) }
                case 2: [entry(".", cookie: fresh, in: directory)]
                default: []
                }
            return call.record(page(entries, isLast: false))
        },
        MainAttack(name: "main: more than asked") { call, number in moreThanAsked(call, number) },
        MainAttack(name: "main: lying attributes", tellsNames: true) { call, number in
            lyingAttributes(call, number)
        },
        MainAttack(name: "main: never answers", leaves: .nothing) { _, _ in [] },
        MainAttack(name: "main: answers twice", leaves: .everything) { call, number in
            let reply = Message.record(call.reply)
            let strangers = (1...20).flatMap {
                call.record(call.results, xid: call.xid &+ $0 << 20)
            }
            return reply + strangers + reply
        },
        MainAttack(
            name: "main: in the wrong order", answer: inTheWrongOrder()),
        MainAttack(name: "main: handles", tellsNames: true) { call, number in
            guard call.procedure == .lookup else { return nil }
            // nfs_fh3 has 64 bytes at most. Zeros are the status, and the attributes that are left out.
            let bytes = [0, 65, 1024, 1 << 20, -1][number % 5]
            let handle =
                Message.words(UInt32(bitPattern: Int32(bytes)))
                + [UInt8](repeating: 7, count: max(0, (bytes + 3) & ~3))
            return call.record(Message.words(0) + handle + Message.words(0, 0))
        },
        MainAttack(name: "main: a tree without end", tellsNames: true) { call, number in
            guard let directory = directory(of: call) else { return nil }
            let entries = (0..<100).map { index in
                entry(
                    "\(index)", cookie: UInt64(index + 1), in: directory,
                    type: index % 2 == 0 ? .directory : .symbolicLink)
            }
            return call.record(page(entries, isLast: true))
        },
        MainAttack(name: "main: names that lead out", tellsNames: true) { call, number in
            guard let directory = directory(of: call) else { return nil }
            let names = [
                "..", ".", "", "/", "/etc/passwd", "../../../tmp/rowfs-attack", "a/b", "a\0b", "\0",
                String(repeating: "n", count: 256), String(repeating: "n", count: 4096),
            ]
            let entries = names.enumerated().map { index, name in
                entry(name, cookie: UInt64(index + 1), in: directory)
            }
            return call.record(page(entries, isLast: true))
        },
    ]

    // MARK: Replies as bytes

    private static func wrongLengths(
        _ call: SimulatedNFSServer.Exchange, _ number: Int
    ) -> [UInt8] {
        let reply = call.reply
        switch number % 8 {
        case 0: return Message.mark(reply.count + 1000) + reply
        case 1: return Message.mark(reply.count - 5) + reply
        case 2: return Message.mark(0x7fff_ffff) + reply
        case 3: return Message.mark(RecordScanner.recordBytesMaximum) + reply
        // Fragments without anything in them, and without an end.
        case 4: return [UInt8](repeating: 0, count: 1 << 20)
        case 5: return reply.flatMap { Message.fragment([$0], isLast: false) }
        case 6: return Message.record(reply.prefix(reply.count * (number / 8 % 10) / 10))
        default:
            // A length, a count or a discriminant, wherever one is.
            var damaged = reply
            let words = max(1, reply.count / 4 - 2)
            let place = 8 + 4 * (number / 8 % words)
            let lengths: [UInt32] = [.max, 1 << 31, 0x7fff_ffff, 65]
            damaged.replaceSubrange(
                place..<place + 4, with: Message.words(lengths[number / 8 % lengths.count]))
            return Message.record(damaged)
        }
    }

    private static func moreThanAsked(
        _ call: SimulatedNFSServer.Exchange, _ number: Int
    ) -> [UInt8]? {
        switch call.procedure {
        case .read:
            guard case .ok(var ok)? = try? NFS3.Read.Result(decoding: call.results) else {
                return nil
            }
            let count = 1 << 20
            // Some of them with a count that is not that of the data.
            ok.count = UInt32([count, 4096, 0][number % 3])
            ok.data = 0..<count
            ok.eof = number % 2 == 0
            return call.record(
                NFS3.Read.Result.ok(ok).encoded() + [UInt8](repeating: 0x58, count: count))
        case .readlink:
            let count = 1 << 20
            return call.record(
                Message.words(0, 0, UInt32(count)) + [UInt8](repeating: 0x58, count: count))
        case .readdirplus:
            // Sixteen times the bytes that were asked for, in the smallest entries that there are.
            let entries = (0..<30_000).map { index in
                NFS3.Readdirplus.Entry(
                    fileid: UInt64(index + 9), name: NFS3.Filename("\(index)"),
                    cookie: UInt64(index + 1), attributes: nil, handle: nil)
            }
            return call.record(page(entries, isLast: true))
        default: return nil
        }
    }

    // MARK: Replies as values

    private static func lyingAttributes(
        _ call: SimulatedNFSServer.Exchange, _ number: Int
    ) -> [UInt8]? {
        func lie(_ honest: NFS3.Attributes?, _ index: Int = 0) -> NFS3.Attributes? {
            guard var lie = honest else { return nil }
            let number = number + index
            switch number % 8 {
            case 0: lie.size = UInt64(number)
            case 1: lie.size = .max - UInt64(number % 3)
            case 2: lie.size = 1 << 63 + UInt64(number)
            case 3: lie.type = [.directory, .symbolicLink, .fifo, .blockDevice][number / 8 % 4]
            case 4: (lie.nlink, lie.fileid) = (0, 0)
            // With one number for all, they would be names of one file: an image's server may say so.
            case 5: lie.nlink = .max
            case 6: lie.mtime = NFS3.Time(seconds: .max, nanoseconds: .max)
            default: (lie.mode, lie.used, lie.uid) = (.max, .max, .max)
            }
            return lie
        }
        switch call.procedure {
        case .getattr:
            guard case .ok(let ok)? = try? NFS3.Getattr.Result(decoding: call.results),
                let attributes = lie(ok.attributes)
            else { return nil }
            return call.record(
                NFS3.Getattr.Result.ok(NFS3.Getattr.Success(attributes: attributes)).encoded())
        case .lookup:
            guard case .ok(var ok)? = try? NFS3.Lookup.Result(decoding: call.results) else {
                return nil
            }
            ok.attributes = lie(ok.attributes)
            return call.record(NFS3.Lookup.Result.ok(ok).encoded())
        case .readdirplus:
            guard case .ok(var ok)? = try? NFS3.Readdirplus.Result(decoding: call.results) else {
                return nil
            }
            for index in ok.entries.indices {
                ok.entries[index].attributes = lie(ok.entries[index].attributes, index)
            }
            return call.record(NFS3.Readdirplus.Result.ok(ok).encoded())
        case .read:
            guard case .ok(var ok)? = try? NFS3.Read.Result(decoding: call.results) else {
                return nil
            }
            let data = call.results.suffix(paddedCount(Int(ok.count)))
            ok.attributes = lie(ok.attributes)
            ok.data = 0..<Int(ok.count)
            return call.record(NFS3.Read.Result.ok(ok).encoded() + data)
        default: return nil
        }
    }

    /// Answers each call behind the next one.
    private static func inTheWrongOrder()
        -> @Sendable (
            SimulatedNFSServer.Exchange, Int
        ) -> [UInt8]?
    {
        let held = Held()
        return { call, _ in
            held.reply.withLock { held in
                let reply = Message.record(call.reply)
                guard let before = held else {
                    held = reply
                    return []
                }
                held = nil
                return reply + before
            }
        }
    }

    private final class Held: Sendable {
        let reply = Mutex<[UInt8]?>(nil)
    }

    // MARK: Listings

    /// What a listing is of; nil for other calls.
    private static func directory(of call: SimulatedNFSServer.Exchange) -> NFS3.FileHandle? {
        guard call.procedure == .readdirplus else { return nil }
        return try? NFS3.Readdirplus.Arguments(decoding: call.arguments).directory
    }

    /// An entry whose handle is that of the directory that it is in.
    private static func entry(
        _ name: String, cookie: UInt64, in directory: NFS3.FileHandle,
        type: NFS3.FileType = .regular
    ) -> NFS3.Readdirplus.Entry {
        let time = NFS3.Time(seconds: 1, nanoseconds: 0)
        let attributes = NFS3.Attributes(
            type: type, mode: 0o755, nlink: 1, uid: 0, gid: 0, size: 4096, used: 4096,
            rdev: NFS3.Device(major: 0, minor: 0), fsid: 1, fileid: cookie + 1_000_000, atime: time,
            mtime: time, ctime: time)
        return NFS3.Readdirplus.Entry(
            fileid: attributes.fileid, name: NFS3.Filename(name), cookie: cookie,
            attributes: attributes, handle: directory)
    }

    private static func page(_ entries: [NFS3.Readdirplus.Entry], isLast: Bool) -> [UInt8] {
        NFS3.Readdirplus.Result.ok(
            NFS3.Readdirplus.Success(
                attributes: nil, cookieVerifier: 0, entries: entries, eof: isLast)
        ).encoded()
    }
}
