import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWProxy
import ROWTestKit
import Testing

/// Every procedure: what it does, and its main ways to fail.
@Suite struct ProcedureTests {
    private func name(_ text: String) -> NFS3.Filename { NFS3.Filename(text) }

    @Test func theImageIsReadAsItIs() async throws {
        let served = try await Served.directory()
        let client = served.client
        try await client.null()
        #expect(try await client.getattr(served.root).success.attributes.type == .directory)
        let hello = try await client.lookup(name("hello"), in: served.root).success
        #expect(hello.attributes?.size == 13)
        #expect(hello.directoryAttributes != nil)
        #expect(
            try await client.access(hello.object, [.read, .modify]).success.access
                == [.read, .modify])
        #expect(try await served.text(of: hello.object) == "hello, world\n")
        let link = try await served.handle("link")
        #expect(try await client.readlink(link).success.data.description == "directory/file7")
        #expect(try await client.fsstat(served.root).success.tbytes > 0)
        let info = try await client.fsinfo(served.root).success
        #expect(info.rtmax == 1 << 20 && info.wtmax == 1 << 20)
        #expect(try await client.pathconf(served.root).success.nameMax == 255)
        try await served.stop()
    }

    @Test func everyChangingProcedureDoesItsWork() async throws {
        let served = try await Served.directory()
        let client = served.client
        let root = served.root
        let file = try await served.create("new", "some text")
        #expect(try await client.commit(file).status == .ok)
        let shorter = try await client.setattr(file, NFS3.SetAttributes(mode: 0o600, size: 4))
            .success
        #expect(shorter.wcc.after?.size == 4 && shorter.wcc.after?.mode == 0o600)
        #expect(shorter.wcc.before?.size == 9)
        #expect(try await served.text(of: file) == "some")
        let directory = try await client.mkdir(
            name("d"), in: root, NFS3.SetAttributes(mode: 0o755)
        ).success
        let d = try #require(directory.handle)
        #expect(try await client.symlink(name("l"), in: d, to: NFS3.Path("../new")).status == .ok)
        #expect(
            try await client.mknod(name("fifo"), in: d, .fifo(NFS3.SetAttributes(mode: 0o644)))
                .status == .ok)
        let device = try await client.mknod(
            name("null"), in: d,
            .characterDevice(NFS3.SetAttributes(mode: 0o666), NFS3.Device(major: 1, minor: 3))
        ).success
        #expect(device.attributes?.rdev == NFS3.Device(major: 1, minor: 3))
        #expect(
            try await client.link(file, as: name("second"), in: d).success.attributes?.nlink == 2)
        #expect(
            try await client.rename(
                from: NFS3.DirectoryOperation(directory: d, name: name("second")),
                to: NFS3.DirectoryOperation(directory: root, name: name("third"))
            ).status == .ok)
        #expect(try await client.remove(name("third"), in: root).status == .ok)
        for entry in ["l", "fifo", "null"] {
            #expect(try await client.remove(name(entry), in: d).status == .ok)
        }
        #expect(try await client.rmdir(name("d"), in: root).status == .ok)
        #expect(try await client.getattr(d).status == .stale)
        #expect(try await client.getattr(file).success.attributes.nlink == 1)
        try await served.stop()
    }

    @Test func eachProcedureFailsAsTheProtocolSays() async throws {
        let served = try await Served.directory()
        let client = served.client
        let root = served.root
        let hello = try await served.handle("hello")
        let directory = try await served.handle("directory")
        let none = NFS3.SetAttributes()

        #expect(try await client.lookup(name("nothing"), in: root).status == .noent)
        #expect(try await client.lookup(name("x"), in: hello).status == .notdir)
        #expect(try await client.readlink(hello).status == .inval)
        #expect(try await client.read(directory, offset: 0, count: 1).result.status == .isdir)
        #expect(
            try await client.write(
                directory, offset: 0, data: ByteBuffer(string: "x"), stable: .unstable
            ).status == .isdir)
        #expect(try await client.commit(directory).status == .isdir)
        #expect(try await client.create(name("hello"), in: root, .guarded(none)).status == .exist)
        #expect(try await client.create(name("x"), in: hello, .guarded(none)).status == .notdir)
        #expect(try await client.mkdir(name("hello"), in: root, none).status == .exist)
        #expect(
            try await client.symlink(name("link"), in: root, to: NFS3.Path("x")).status == .exist)
        #expect(try await client.mknod(name("x"), in: root, .regular).status == .badType)
        #expect(try await client.remove(name("nothing"), in: root).status == .noent)
        #expect(try await client.remove(name("directory"), in: root).status == .isdir)
        #expect(try await client.rmdir(name("hello"), in: root).status == .notdir)
        #expect(try await client.rmdir(name("directory"), in: root).status == .notEmpty)
        #expect(try await client.rmdir(name("."), in: root).status == .inval)
        #expect(try await client.link(directory, as: name("x"), in: root).status == .isdir)
        #expect(try await client.link(hello, as: name("link"), in: root).status == .exist)
        #expect(
            try await client.rename(
                from: NFS3.DirectoryOperation(directory: root, name: name("directory")),
                to: NFS3.DirectoryOperation(directory: directory, name: name("inside"))
            ).status == .inval)
        #expect(
            try await client.rename(
                from: NFS3.DirectoryOperation(directory: root, name: name("nothing")),
                to: NFS3.DirectoryOperation(directory: root, name: name("x"))
            ).status == .noent)
        #expect(try await client.readdir(hello, count: 4096).status == .notdir)
        #expect(try await client.readdir(root, count: 10).status == .tooSmall)
        #expect(
            try await client.readdirplus(root, dircount: 10, maxcount: 10).status == .tooSmall)
        let guarded = try await client.setattr(
            hello, NFS3.SetAttributes(mode: 0o600),
            guardTime: NFS3.Time(seconds: 1, nanoseconds: 1))
        #expect(guarded.status == .notSync)
        try await served.stop()
    }

    @Test func permissionIsCheckedHere() async throws {
        let served = try await Served.directory()
        let file = try await served.create("secret", "x")
        _ = try await served.client.setattr(file, NFS3.SetAttributes(mode: 0o600)).success
        let stranger = served.client(uid: 1000, gid: 1000)
        #expect(try await stranger.read(file, offset: 0, count: 1).result.status == .acces)
        #expect(try await stranger.access(file, [.read, .modify]).success.access == [])
        #expect(try await stranger.remove(name("secret"), in: served.root).status == .acces)
        #expect(
            try await stranger.mknod(
                name("x"), in: served.root,
                .blockDevice(NFS3.SetAttributes(), NFS3.Device(major: 8, minor: 0))
            ).status == .perm)
        var nobody = served.client
        nobody.credential = .none
        #expect(try await nobody.read(file, offset: 0, count: 1).result.status == .acces)
        #expect(try await nobody.getattr(file).status == .ok)
        try await served.stop()
    }

    @Test func handlesThatAreNotOursAreTurnedAway() async throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let served = try await Served.directory()
        let other = try await Served.directory()
        let client = served.client
        #expect(try await client.getattr(other.root).status == .stale)
        let foreign = try await other.handle("hello")
        #expect(try await client.read(foreign, offset: 0, count: 1).result.status == .stale)
        #expect(try await client.link(foreign, as: name("x"), in: served.root).status == .stale)
        #expect(
            try await client.rename(
                from: NFS3.DirectoryOperation(directory: served.root, name: name("hello")),
                to: NFS3.DirectoryOperation(directory: other.root, name: name("x"))
            ).status == .stale)
        for count in 0...64 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let handle = try #require(NFS3.FileHandle(bytes))
            #expect(try await client.getattr(handle).status == .badHandle, "\(seed)")
        }
        // Any bit of a genuine one.
        let genuine = served.root.array
        for bit in 0..<genuine.count * 8 {
            var bytes = genuine
            bytes[bit / 8] ^= 1 << (bit % 8)
            let status = try await client.getattr(try #require(NFS3.FileHandle(bytes))).status
            #expect(status == .stale || status == .badHandle, "bit \(bit)")
        }
        try await other.stop()
        try await served.stop()
    }

    @Test func namesAndNumbersOutOfBoundsAreRefused() async throws {
        let served = try await Served.directory()
        let client = served.client
        let root = served.root
        let long = name(String(repeating: "x", count: 256))
        let none = NFS3.SetAttributes()
        #expect(try await client.lookup(long, in: root).status == .nameTooLong)
        #expect(try await client.create(long, in: root, .guarded(none)).status == .nameTooLong)
        #expect(try await client.mkdir(long, in: root, none).status == .nameTooLong)
        #expect(
            try await client.symlink(long, in: root, to: NFS3.Path("x")).status == .nameTooLong)
        let longest = name(String(repeating: "x", count: 255))
        #expect(try await client.create(longest, in: root, .guarded(none)).status == .ok)
        for bad in ["a/b", "a\0b", ""] {
            #expect(try await client.create(name(bad), in: root, .guarded(none)).status == .inval)
        }
        for dots in [".", ".."] {
            #expect(try await client.mkdir(name(dots), in: root, none).status == .exist)
        }

        let file = try await served.handle("large")
        let (past, data) = try await client.read(file, offset: .max - 1, count: .max)
        #expect(try past.success.eof && data.readableBytes == 0)
        let (all, bytes) = try await client.read(file, offset: 0, count: .max)
        #expect(try all.success.eof && bytes.readableBytes == 320_000)
        let byte = ByteBuffer(string: "x")
        for offset in [.max, .max - 1, 1 << 63, 1 << 62] as [UInt64] {
            let result = try await client.write(file, offset: offset, data: byte, stable: .unstable)
            #expect(result.status == .fbig, "\(offset)")
        }
        #expect(try await client.setattr(file, NFS3.SetAttributes(size: .max)).status == .fbig)
        #expect(try await client.getattr(file).success.attributes.size == 320_000)
        try await served.stop()
    }

    @Test func readsAreCutAtTheTransferSize() async throws {
        let served = try await Served.directory()
        let file = try await served.create("large1")
        _ = try await served.client.setattr(file, NFS3.SetAttributes(size: 3 << 20)).success
        let (result, data) = try await served.client.read(file, offset: 0, count: .max)
        #expect(try !result.success.eof && data.readableBytes == 1 << 20)
        try await served.stop()
    }

    @Test func aListingIsPagedAndResumed() async throws {
        let served = try await Served.directory()
        let directory = try await served.handle("directory")
        let expected = Set([".", ".."] + (0..<40).map { "file\($0)" })
        var names: [String] = []
        var cookie: UInt64 = 0
        var isComplete = false
        var isRemoved = false
        while !isComplete {
            let page = try await served.client.readdir(directory, cookie: cookie, count: 300)
                .success
            #expect(page.encodedSize <= 300)
            names += page.entries.map(\.name.description)
            cookie = try #require(page.entries.last?.cookie)
            isComplete = page.eof
            if !isRemoved {
                // Names that have been seen may go: nothing is skipped.
                for seen in names where seen.hasPrefix("file") {
                    _ = try await served.client.remove(name(seen), in: directory).success
                }
                isRemoved = true
            }
        }
        #expect(names.count == expected.count)
        #expect(Set(names) == expected)
        let plus = try await served.client.readdirplus(
            directory, dircount: 8192, maxcount: 65536
        ).success
        #expect(plus.entries.allSatisfy { $0.attributes?.fileid == $0.fileid && $0.handle != nil })
        try await served.stop()
    }

    @Test func anExportTakesNoChanges() async throws {
        let served = try await Served.directory { $0.isReadOnly = true }
        let hello = try await served.handle("hello")
        let none = NFS3.SetAttributes()
        #expect(
            try await served.client.create(name("x"), in: served.root, .guarded(none)).status
                == .rofs)
        #expect(
            try await served.client.write(
                hello, offset: 0, data: ByteBuffer(string: "x"), stable: .unstable
            ).status == .rofs)
        #expect(try await served.client.remove(name("hello"), in: served.root).status == .rofs)
        #expect(try await served.client.setattr(hello, NFS3.SetAttributes(mode: 0)).status == .rofs)
        #expect(try await served.text(of: hello) == "hello, world\n")
        try await served.stop()
    }
}
