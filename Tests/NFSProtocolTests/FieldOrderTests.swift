import NFSProtocol
import Testing
import XDR

/// Where each field is: round trips alone would not see two fields of one type swapped. Every value
/// is different, and the expected words are those of the RFC's definition, one field per line.
@Suite struct FieldOrderTests {
    static let handle = NFS3.FileHandle([0xaa, 0xbb, 0xcc, 0xdd])!
    /// `handle` on the wire.
    static let handleWords: [UInt32] = [4, 0xaabb_ccdd]
    static let other = NFS3.FileHandle([0xee])!
    static let otherWords: [UInt32] = [1, 0xee00_0000]

    static let attributes = NFS3.Attributes(
        type: .directory, mode: 11, nlink: 12, uid: 13, gid: 14, size: 15, used: 16,
        rdev: NFS3.Device(major: 17, minor: 18), fsid: 19, fileid: 20,
        atime: NFS3.Time(seconds: 21, nanoseconds: 22),
        mtime: NFS3.Time(seconds: 23, nanoseconds: 24),
        ctime: NFS3.Time(seconds: 25, nanoseconds: 26))
    static let attributesWords: [UInt32] =
        [2, 11, 12, 13, 14] + [0, 15, 0, 16] + [17, 18] + [0, 19, 0, 20] + [21, 22, 23, 24, 25, 26]

    static let wcc = NFS3.WCCData(
        before: NFS3.WCCAttributes(
            size: 31, mtime: NFS3.Time(seconds: 32, nanoseconds: 33),
            ctime: NFS3.Time(seconds: 34, nanoseconds: 35)))
    static let wccWords: [UInt32] = [1, 0, 31, 32, 33, 34, 35] + [0]

    static let name = NFS3.DirectoryOperation(directory: handle, name: NFS3.Filename("a"))
    static let nameWords: [UInt32] = handleWords + [1, 0x6100_0000]

    @Test func fattr3() { expect(Self.attributes, Self.attributesWords) }

    @Test func wccData() {
        expect(Self.wcc, Self.wccWords)
        expect(NFS3.WCCData(after: Self.attributes), [0, 1] + Self.attributesWords)
    }

    @Test func sattr3() {
        let attributes = NFS3.SetAttributes(
            mode: 1, uid: 2, gid: 3, size: 4,
            atime: .clientTime(NFS3.Time(seconds: 5, nanoseconds: 6)), mtime: .serverTime)
        expect(attributes, [1, 1] + [1, 2] + [1, 3] + [1, 0, 4] + [2, 5, 6] + [1])
    }

    @Test func lookup() {
        expect(
            NFS3.Lookup.Success(
                object: Self.handle, attributes: Self.attributes, directoryAttributes: nil),
            Self.handleWords + [1] + Self.attributesWords + [0])
    }

    @Test func access() {
        expect(
            NFS3.Access.Arguments(object: Self.handle, access: [.read, .extend, .execute]),
            Self.handleWords + [0x29])
        expect(
            NFS3.Access.Success(attributes: nil, access: [.lookup, .modify, .delete]), [0, 0x16])
    }

    @Test func setattr() {
        expect(
            NFS3.Setattr.Arguments(
                object: Self.handle, attributes: NFS3.SetAttributes(size: 9),
                guardTime: NFS3.Time(seconds: 7, nanoseconds: 8)),
            Self.handleWords + [0, 0, 0, 1, 0, 9, 0, 0] + [1, 7, 8])
    }

    @Test func read() {
        expect(
            NFS3.Read.Arguments(file: Self.handle, offset: 5, count: 6),
            Self.handleWords + [0, 5] + [6])
        expect(
            NFS3.Read.Success(attributes: nil, count: 3, eof: true, data: 0..<3), [0, 3, 1, 3])
    }

    @Test func write() {
        expect(
            NFS3.Write.Arguments(
                file: Self.handle, offset: 5, count: 6, stable: .fileSync, data: 0..<6),
            Self.handleWords + [0, 5] + [6] + [2] + [6])
        expect(
            NFS3.Write.Success(wcc: Self.wcc, count: 6, committed: .dataSync, verifier: 7),
            Self.wccWords + [6] + [1] + [0, 7])
    }

    @Test func create() {
        expect(
            NFS3.Create.Arguments(location: Self.name, how: .exclusive(7)),
            Self.nameWords + [2] + [0, 7])
        expect(
            NFS3.CreatedObject(
                handle: Self.handle, attributes: Self.attributes, directory: Self.wcc),
            [1] + Self.handleWords + [1] + Self.attributesWords + Self.wccWords)
    }

    @Test func mknod() {
        expect(
            NFS3.Mknod.Arguments(
                location: Self.name,
                what: .characterDevice(
                    NFS3.SetAttributes(mode: 9), NFS3.Device(major: 5, minor: 1))),
            Self.nameWords + [4] + [1, 9, 0, 0, 0, 0, 0] + [5, 1])
        expect(NFS3.Mknod.Node.fifo(NFS3.SetAttributes()), [7] + [0, 0, 0, 0, 0, 0])
    }

    @Test func symlink() {
        expect(
            NFS3.Symlink.Arguments(
                location: Self.name, attributes: NFS3.SetAttributes(uid: 8), data: NFS3.Path("b")),
            Self.nameWords + [0, 1, 8, 0, 0, 0, 0] + [1, 0x6200_0000])
    }

    @Test func rename() {
        let to = NFS3.DirectoryOperation(directory: Self.other, name: NFS3.Filename("b"))
        expect(
            NFS3.Rename.Arguments(from: Self.name, to: to),
            Self.nameWords + Self.otherWords + [1, 0x6200_0000])
        expect(
            NFS3.Rename.Success(fromDirectory: Self.wcc, toDirectory: NFS3.WCCData()),
            Self.wccWords + [0, 0])
    }

    @Test func link() {
        expect(
            NFS3.Link.Arguments(file: Self.other, link: Self.name), Self.otherWords + Self.nameWords
        )
        expect(
            NFS3.Link.Success(attributes: Self.attributes, directory: Self.wcc),
            [1] + Self.attributesWords + Self.wccWords)
    }

    @Test func readdir() {
        expect(
            NFS3.Readdir.Arguments(directory: Self.handle, cookie: 1, cookieVerifier: 2, count: 3),
            Self.handleWords + [0, 1] + [0, 2] + [3])
        expect(
            NFS3.Readdir.Entry(fileid: 4, name: NFS3.Filename("a"), cookie: 5),
            [1] + [0, 4] + [1, 0x6100_0000] + [0, 5])
    }

    @Test func readdirplus() {
        expect(
            NFS3.Readdirplus.Arguments(
                directory: Self.handle, cookie: 1, cookieVerifier: 2, dircount: 3, maxcount: 4),
            Self.handleWords + [0, 1] + [0, 2] + [3] + [4])
        expect(
            NFS3.Readdirplus.Entry(
                fileid: 4, name: NFS3.Filename("a"), cookie: 5, attributes: Self.attributes,
                handle: Self.handle),
            [1] + [0, 4] + [1, 0x6100_0000] + [0, 5] + [1] + Self.attributesWords + [1]
                + Self.handleWords)
    }

    @Test func fsstat() {
        expect(
            NFS3.Fsstat.Success(
                attributes: nil, tbytes: 1, fbytes: 2, abytes: 3, tfiles: 4, ffiles: 5, afiles: 6,
                invarsec: 7),
            [0] + [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6] + [7])
    }

    @Test func fsinfo() {
        expect(
            NFS3.Fsinfo.Success(
                attributes: nil, rtmax: 1, rtpref: 2, rtmult: 3, wtmax: 4, wtpref: 5, wtmult: 6,
                dtpref: 7, maxfilesize: 8, timeDelta: NFS3.Time(seconds: 9, nanoseconds: 10),
                properties: [.link, .symlink, .homogeneous, .canSetTime]),
            [0] + [1, 2, 3] + [4, 5, 6] + [7] + [0, 8] + [9, 10] + [0x1b])
    }

    @Test func pathconf() {
        for flag in 0..<4 {
            expect(
                NFS3.Pathconf.Success(
                    attributes: nil, linkmax: 5, nameMax: 6, noTrunc: flag == 0,
                    chownRestricted: flag == 1, caseInsensitive: flag == 2,
                    casePreserving: flag == 3),
                [0] + [5, 6] + (0..<4).map { $0 == flag ? 1 : 0 })
        }
    }

    @Test func commit() {
        expect(
            NFS3.Commit.Arguments(file: Self.handle, offset: 1, count: 2),
            Self.handleWords + [0, 1] + [2])
        expect(NFS3.Commit.Success(wcc: Self.wcc, verifier: 3), Self.wccWords + [0, 3])
    }

    @Test func mount() {
        expect(
            Mount.Mnt.Success(handle: Self.handle, flavors: [1, 0]), Self.handleWords + [2, 1, 0])
        let bytes = [UInt8](repeating: 0x11, count: Mount.handleSizeVersion1)
        let handle = NFS3.FileHandle(bytes.span.bytes)
        expect(
            Mount.Mnt.ResultVersion1.ok(Mount.Mnt.SuccessVersion1(handle: handle)!),
            [0] + [UInt32](repeating: 0x1111_1111, count: 8))
        expect(
            Mount.Dump.Result([
                Mount.Dump.Entry(hostname: Mount.Name("h"), directory: Mount.DirectoryPath("/"))
            ]), [1] + [1, 0x6800_0000] + [1, 0x2f00_0000] + [0])
        expect(
            Mount.Export.Result([
                Mount.Export.Entry(
                    directory: Mount.DirectoryPath("/"), groups: [Mount.Name("g")])
            ]), [1] + [1, 0x2f00_0000] + [1, 1, 0x6700_0000, 0] + [0])
    }

    @Test func portmap() {
        let mapping = Portmap.Mapping(program: 1, version: 2, transport: .udp, port: 3)
        expect(mapping, [1, 2, 17, 3])
        expect(Portmap.Dump.Result([mapping]), [1] + [1, 2, 17, 3] + [0])
        expect(
            Portmap.Callit.Arguments(program: 1, version: 2, procedure: 3, arguments: [9]),
            [1, 2, 3] + [1, 0x0900_0000])
    }

    private func expect(
        _ value: some XDREncodable, _ words: [UInt32],
        at location: SourceLocation = #_sourceLocation
    ) {
        let bytes = value.encoded()
        let found = stride(from: 0, to: bytes.count, by: 4).map { start in
            bytes[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        #expect(found == words, sourceLocation: location)
    }
}
