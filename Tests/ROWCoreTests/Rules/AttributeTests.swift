import NFSProtocol
import Testing

@testable import ROWCore

/// CREATE's modes, SETATTR's guard, set-id and sticky bits, and the clock.
@Suite struct AttributeTests {
    private static let user = Credential(uid: 1000, gid: 100)
    private static let other = Credential(uid: 2000, gid: 200)

    private let engine: Engine
    private let file: NodeID

    init() throws {
        var tree = PlainTree(rootMode: 0o777)
        tree.make("file", mode: 0o6777, uid: 1000, gid: 100, data: [1, 2, 3])
        tree.make("sticky", .directory, mode: 0o1777)
        tree.make("sticky/mine", mode: 0o666, uid: 1000)
        tree.make("group", .directory, mode: 0o2777, gid: 500)
        tree.make("closed", .directory, mode: 0o700)
        tree.make("closed/file", mode: 0o666)
        engine = try Engine(PlainMain(tree))
        file = try engine.lookup("file")
    }

    private func refusal(_ body: () throws -> Void) -> NFS3.Status? {
        do { try body() } catch { return (error as? Refusal)?.status ?? .serverFault }
        return nil
    }

    // MARK: CREATE

    @Test func anExclusiveCreateIsRecognisedAfterACrashUntilItsAttributesAreSet() throws {
        let id = try engine.create(.root, "new", .exclusive(42))
        engine.crash()
        try engine.open()
        #expect(try engine.create(.root, "new", .exclusive(42)) == id)
        #expect(refusal { try engine.create(.root, "new", .exclusive(43)) } == .exist)
        #expect(refusal { try engine.create(.root, "file", .exclusive(42)) } == .exist)
        try engine.setAttributes(id, NFS3.SetAttributes(mode: 0o600))
        try engine.restart()
        #expect(refusal { try engine.create(.root, "new", .exclusive(42)) } == .exist)
    }

    @Test func anUncheckedCreateOfAFileThatIsThereHonoursOnlyTheSize() throws {
        let before = try engine.attributes(file)
        let wanted = NFS3.SetAttributes(
            mode: 0o600, uid: 5, gid: 5, mtime: .clientTime(NFS3.Time(seconds: 1, nanoseconds: 1)))
        #expect(try engine.create(.root, "file", .unchecked(wanted)) == file)
        #expect(try engine.attributes(file) == before)
        var withSize = wanted
        withSize.size = 0
        #expect(try engine.create(.root, "file", .unchecked(withSize)) == file)
        let after = try engine.attributes(file)
        #expect(after.size == 0 && after.mode == before.mode && after.uid == before.uid)
        #expect(refusal { try engine.create(.root, "sticky", .unchecked(wanted)) } == .isdir)
        #expect(refusal { try engine.create(.root, "file", .guarded(wanted)) } == .exist)
    }

    @Test func withoutSearchPermissionNobodyLearnsWhatADirectoryHas() throws {
        let closed = try engine.lookup("closed")
        for name in ["file", "none"] {
            let unchecked = NFS3.CreateMode.unchecked(NFS3.SetAttributes())
            #expect(refusal { try engine.create(closed, name, unchecked, Self.user) } == .acces)
            #expect(refusal { try engine.mkdir(closed, name, Self.user) } == .acces)
            #expect(refusal { try engine.remove(closed, name, Self.user) } == .acces)
            #expect(refusal { try engine.rmdir(closed, name, Self.user) } == .acces)
            #expect(refusal { try engine.link(file, closed, name, Self.user) } == .acces)
            #expect(refusal { try engine.rename(closed, name, .root, "x", Self.user) } == .acces)
            let bytes = Array(name.utf8)
            #expect(refusal { _ = try engine.lookup(closed, bytes, Self.user) } == .acces)
        }
    }

    // MARK: SETATTR

    @Test func theGuardMustBeTheCtimeOfNow() throws {
        let ctime = try engine.attributes(file).ctime
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o644), guardTime: ctime)
        #expect(
            refusal {
                try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o600), guardTime: ctime)
            } == .notSync)
        #expect(try engine.attributes(file).mode == 0o644)
    }

    @Test func ctimeGrowsEvenWhenTheClockStandsStillOrGoesBack() throws {
        var seconds: UInt32 = 1000
        var options = Engine.Options()
        options.clock = { NFS3.Time(seconds: seconds, nanoseconds: 999_999_999) }
        let engine = try Engine(engine.main, options)
        let id = try engine.create(.root, "new")
        var last = try engine.attributes(id).ctime
        for round in 0..<6 {
            if round == 2 { seconds = 10 }
            if round == 4 { try engine.restart() }
            try engine.write(id, 0, [1], .unstable)
            let written = try engine.attributes(id).ctime
            #expect(written > last)
            try engine.setAttributes(id, NFS3.SetAttributes(mode: 0o600))
            last = try engine.attributes(id).ctime
            #expect(last > written)
        }
    }

    @Test func changesOfAttributesMoveNoData() throws {
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o600, uid: 7))
        try engine.restart()
        #expect(try engine.attributes(file).uid == 7)
        #expect(try Disk.names(engine.sessionDirectory + "/shadow").isEmpty)
        #expect(try Fault(engine).count("SELECT count(*) FROM content") == 0)
    }

    // MARK: Set-id and sticky bits

    @Test func aWriteByAnyoneButRootClearsSetID() throws {
        try engine.write(file, 0, [1], .fileSync, .root)
        #expect(try engine.attributes(file).mode == 0o6777)
        try engine.write(file, 0, [1], .fileSync, Self.other)
        #expect(try engine.attributes(file).mode == 0o777)
    }

    @Test func aTruncationByAnyoneButRootClearsSetID() throws {
        try engine.setAttributes(file, NFS3.SetAttributes(size: 1), Self.other)
        #expect(try engine.attributes(file).mode == 0o777)
    }

    @Test func inASetgidDirectoryItsGroupIsPassedOnAndTheBitToDirectories() throws {
        let group = try engine.lookup("group")
        let made = try engine.create(group, "f", nil, Self.user)
        #expect(try engine.attributes(made).gid == 500)
        let directory = try engine.mkdir(group, "d", mode: 0o755, Self.user)
        #expect(try engine.attributes(directory).gid == 500)
        #expect(try engine.attributes(directory).mode == 0o2755)
    }

    @Test func fromAStickyDirectoryOnlyOwnersAndRootTakeNames() throws {
        let sticky = try engine.lookup("sticky")
        #expect(refusal { try engine.remove(sticky, "mine", Self.other) } == .perm)
        #expect(refusal { try engine.rename(sticky, "mine", .root, "x", Self.other) } == .perm)
        try engine.create(.root, "theirs", nil, Self.other)
        #expect(refusal { try engine.rename(.root, "theirs", sticky, "mine", Self.other) } == .perm)
        try engine.remove(sticky, "mine", Self.user)
    }

    @Test func theOwnerReadsAndWritesWhateverTheMode() throws {
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0))
        #expect(try engine.read(file, 0, 10, Self.user).bytes == [1, 2, 3])
        try engine.write(file, 0, [9], .fileSync, Self.user)
        #expect(refusal { _ = try engine.read(file, 0, 10, Self.other) } == .acces)
        #expect(refusal { try engine.write(file, 0, [9], .fileSync, Self.other) } == .acces)
    }
}
