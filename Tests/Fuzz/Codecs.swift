import NFSProtocol
import ROWTestKit
import XDR

/// A type that goes over the wire.
struct Codec: Sendable {
    /// Reads a value that takes up all of the bytes, and writes it again.
    let recode: @Sendable ([UInt8]) throws(XDRError) -> [UInt8]
    /// Some of its values.
    let seeds: [[UInt8]]

    /// - Parameter data: where the value has bytes that are not in it but in its record.
    init<Value: XDRCodable & SendableMetatype>(
        _: Value.Type, _ seeds: [UInt8]..., data: (@Sendable (Value) -> Range<Int>?)? = nil
    ) {
        self.seeds = seeds
        recode = { bytes throws(XDRError) in
            let value = try Value(decoding: bytes)
            guard let range = data?(value) else { return value.encoded() }
            let padding = [UInt8](repeating: 0, count: paddedCount(range.count) - range.count)
            return value.encoded() + bytes[range] + padding
        }
    }
}

/// Types of one kind, by number. What is read takes as many bytes as it is written with, and the same the
/// second time: nothing but padding may differ.
final class CodecTarget: FuzzTarget {
    private let codecs: [Codec]

    init(_ codecs: [Codec]) { self.codecs = codecs }

    func seeds() -> [[UInt8]] {
        codecs.indices.flatMap { index in
            (codecs[index].seeds + [Codecs.plain]).map { [UInt8(index)] + $0 }
        }
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let codec = codecs[Int(input.byte()) % codecs.count]
        let value = input.all()
        guard let once = try? codec.recode(value) else { return }
        must(
            once.count == value.count
                && value.indices.allSatisfy { index in
                    once[index] == value[index] || once[index] == 0 && index % 4 != 0
                }, "read from \(value), written as \(once)")
        must((try? codec.recode(once)) == once, "written as \(once), which is read otherwise")
    }
}

enum Codecs {
    /// For types that are mostly numbers.
    static let plain = [UInt8](repeating: 0, count: 32)

    private static let handle: [UInt8] = [0, 0, 0, 4, 1, 2, 3, 4]
    private static let name: [UInt8] = [0, 0, 0, 3, 0x61, 0x62, 0x63, 0]
    private static let times = [UInt8](repeating: 1, count: 16)
    private static let someAttributes =
        Message.words(1, 0o644, 1, 0, 0, 0, 5, 0, 512, 0, 0, 0, 1, 0, 2) + times
        + Message.words(3, 4)
    private static let optionalAttributes = Message.words(1) + someAttributes
    private static let change = Message.words(1, 0, 5) + times + Message.words(1) + someAttributes
    private static let settings = Message.words(1, 0o600, 1, 0, 0, 1, 0, 9, 1, 2, 5, 6)
    private static let created = Message.words(0, 1) + handle + optionalAttributes + change
    private static let ok = Message.words(0)
    private static let failure = Message.words(2)

    /// In the order of their numbers, from GETATTR on.
    static let arguments: [Codec] = [
        Codec(NFS3.Getattr.Arguments.self, handle),
        Codec(NFS3.Setattr.Arguments.self, handle + settings + Message.words(1, 7, 8)),
        Codec(NFS3.Lookup.Arguments.self, handle + name),
        Codec(NFS3.Access.Arguments.self, handle + Message.words(63)),
        Codec(NFS3.Readlink.Arguments.self, handle),
        Codec(NFS3.Read.Arguments.self, handle + Message.words(0, 4096, 65_536)),
        Codec(NFS3.Write.Arguments.self, handle + Message.words(0, 1, 3, 2) + name) { $0.data },
        Codec(
            NFS3.Create.Arguments.self, handle + name + Message.words(0) + settings,
            handle + name + Message.words(2, 1, 2)),
        Codec(NFS3.Mkdir.Arguments.self, handle + name + settings),
        Codec(NFS3.Symlink.Arguments.self, handle + name + settings + name),
        Codec(
            NFS3.Mknod.Arguments.self,
            handle + name + Message.words(4) + settings + Message.words(8, 1),
            handle + name + Message.words(7) + settings),
        Codec(NFS3.Remove.Arguments.self, handle + name),
        Codec(NFS3.Rmdir.Arguments.self, handle + name),
        Codec(NFS3.Rename.Arguments.self, handle + name + handle + name),
        Codec(NFS3.Link.Arguments.self, handle + handle + name),
        Codec(NFS3.Readdir.Arguments.self, handle + Message.words(0, 0, 0, 0, 4096)),
        Codec(NFS3.Readdirplus.Arguments.self, handle + Message.words(0, 0, 0, 0, 1024, 8192)),
        Codec(NFS3.Fsstat.Arguments.self, handle),
        Codec(NFS3.Fsinfo.Arguments.self, handle),
        Codec(NFS3.Pathconf.Arguments.self, handle),
        Codec(NFS3.Commit.Arguments.self, handle + Message.words(0, 0, 0)),
    ]

    /// The same for what is answered.
    static let results: [Codec] = [
        Codec(NFS3.Getattr.Result.self, ok + someAttributes, failure),
        Codec(NFS3.Setattr.Result.self, ok + change, failure + change),
        Codec(NFS3.Lookup.Result.self, ok + handle + optionalAttributes + Message.words(0)),
        Codec(NFS3.Access.Result.self, ok + optionalAttributes + Message.words(31)),
        Codec(NFS3.Readlink.Result.self, ok + optionalAttributes + name),
        Codec(
            NFS3.Read.Result.self, ok + optionalAttributes + Message.words(3, 1) + name,
            failure + Message.words(0)
        ) { if case .ok(let success) = $0 { success.data } else { nil } },
        Codec(NFS3.Write.Result.self, ok + change + Message.words(3, 2, 8, 9), failure + change),
        Codec(NFS3.Create.Result.self, created, failure + change),
        Codec(NFS3.Mkdir.Result.self, created, failure + change),
        Codec(NFS3.Symlink.Result.self, created, failure + change),
        Codec(NFS3.Mknod.Result.self, created, failure + change),
        Codec(NFS3.Remove.Result.self, ok + change),
        Codec(NFS3.Rmdir.Result.self, failure + change),
        Codec(NFS3.Rename.Result.self, ok + change + change),
        Codec(NFS3.Link.Result.self, ok + optionalAttributes + change),
        Codec(
            NFS3.Readdir.Result.self,
            ok + optionalAttributes + Message.words(0, 7, 1, 0, 3) + name
                + Message.words(0, 1, 0, 1)),
        Codec(
            NFS3.Readdirplus.Result.self,
            ok + optionalAttributes + Message.words(0, 7, 1, 0, 3) + name + Message.words(0, 1)
                + optionalAttributes + Message.words(1) + handle + Message.words(0, 1)),
        Codec(
            NFS3.Fsstat.Result.self,
            ok + optionalAttributes + plain + [UInt8](repeating: 0, count: 20)
        ),
        Codec(
            NFS3.Fsinfo.Result.self,
            ok + Message.words(0) + plain + [UInt8](repeating: 0, count: 16)),
        Codec(NFS3.Pathconf.Result.self, ok + Message.words(0, 32_000, 255, 1, 1, 0, 1)),
        Codec(NFS3.Commit.Result.self, ok + change + Message.words(1, 2)),
    ]

    static let mount: [Codec] = [
        Codec(Mount.Mnt.Arguments.self, name), Codec(Mount.Name.self, name),
        Codec(Mount.Mnt.Result.self, ok + handle + Message.words(1, 1), Message.words(13)),
        Codec(Mount.Mnt.ResultVersion1.self, ok + plain, Message.words(2)),
        Codec(Mount.Dump.Result.self, Message.words(1) + name + name + Message.words(0)),
        Codec(
            Mount.Export.Result.self,
            Message.words(1) + name + Message.words(1) + name + Message.words(0, 0)),
    ]

    static let portmap: [Codec] = [
        Codec(Portmap.Mapping.self, Message.words(100_003, 3, 6, 2049)),
        Codec(Portmap.Dump.Result.self, Message.words(1, 100_003, 3, 6, 2049, 0)),
        Codec(Portmap.Callit.Arguments.self, Message.words(1, 2, 3) + name),
        Codec(Portmap.Callit.Result.self, Message.words(2049) + name),
        Codec(Portmap.Acceptance.self, Message.words(1)),
        Codec(Portmap.Getport.Result.self, Message.words(2049)),
    ]
}
