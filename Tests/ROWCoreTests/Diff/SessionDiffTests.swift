import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// What a session changed, case by case, as it is told from the databases alone.
@Suite struct SessionDiffTests {
    private let engine: Engine

    init() throws {
        var tree = PlainTree()
        for directory in ["d", "d/e", "d/e/f", "other"] { tree.make(directory, .directory) }
        for file in ["a", "b", "d/x", "d/y", "d/e/z", "d/e/f/deep", "other/o"] {
            tree.make(file, data: [UInt8](repeating: 7, count: 5000))
        }
        tree.make("link", .symbolicLink, target: "a")
        let hard = tree.make("d/hard1", data: [1, 2, 3])
        tree.hardLink(hard, "other/hard2")
        engine = try Engine(PlainMain(tree))
    }

    /// The changes as text, the same while the session runs and after it has ended.
    private func diff() throws -> [String] {
        let running = try changes(engine)
        try engine.close()
        #expect(try changes(engine) == running)
        try engine.open()
        return running.map(\.description)
    }

    private func changes(_ engine: Engine) throws -> [Change] {
        try SessionDiff.read(
            session: FilePath(engine.sessionDirectory), image: FilePath(engine.imageDirectory))
    }

    private func id(_ path: String) throws -> NodeID { try engine.lookup(path) }

    // MARK: Nothing

    @Test func readingChangesNothing() throws {
        _ = try engine.read(try id("d/e/f/deep"))
        _ = try engine.names(.root)
        #expect(try diff().isEmpty)
    }

    @Test func whatWasUndoneIsNotReported() throws {
        let file = try id("d/x")
        try engine.rename(try id("d"), "x", .root, "moved")
        try engine.rename(.root, "moved", try id("d"), "x")
        let mode = try engine.attributes(file).mode
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o7))
        try engine.setAttributes(file, NFS3.SetAttributes(mode: mode))
        try engine.create(.root, "new")
        try engine.remove(.root, "new")
        try engine.mkdir(try id("d"), "dir")
        try engine.rmdir(try id("d"), "dir")
        try engine.link(file, .root, "hard")
        try engine.remove(.root, "hard")
        #expect(try diff().isEmpty)
    }

    @Test func aWhiteoutOfANameThatMainNeverHadIsNotReported() throws {
        // The listing of the directory is not known, so its removal leaves a whiteout.
        try engine.create(try id("other"), "new")
        try engine.remove(try id("other"), "new")
        let whiteouts = try Fault(engine).count("SELECT count(*) FROM delta WHERE child = 0")
        #expect(whiteouts == 1)
        #expect(try diff().isEmpty)
    }

    @Test func aDirectoryWhoseEntriesAloneChangedIsNotReported() throws {
        try engine.mkdir(try id("d/e"), "new")
        try engine.remove(try id("d"), "x")
        #expect(try diff() == ["added /d/e/new/", "removed /d/x"])
    }

    // MARK: Objects

    @Test func dataAndAttributesAreToldApart() throws {
        try engine.store(try id("a"), 0, [1])
        try engine.setAttributes(try id("b"), NFS3.SetAttributes(mode: 0o600, uid: 5))
        try engine.setAttributes(try id("d"), NFS3.SetAttributes(mode: 0o700, gid: 6))
        try engine.setSize(try id("d/x"), 10)
        try engine.setAttributes(try id("d/y"), NFS3.SetAttributes(mtime: .serverTime))
        #expect(
            try diff() == [
                "changed /a: content, modificationTime", "changed /b: mode, owner",
                "changed /d/: mode, group", "changed /d/x: content, modificationTime",
                "changed /d/y: modificationTime",
            ])
    }

    @Test func theRootItselfCanChange() throws {
        try engine.setAttributes(.root, NFS3.SetAttributes(mode: 0o700))
        #expect(try diff() == ["changed /: mode"])
    }

    @Test func aFileThatIsOnlyLongerOrCutAndGrownIsChanged() throws {
        try engine.setSize(try id("a"), 9000)
        try engine.setSize(try id("b"), 100)
        try engine.setSize(try id("b"), 5000)
        try engine.setSize(try id("d/x"), 5000)
        #expect(
            try diff() == [
                "changed /a: content, modificationTime", "changed /b: content, modificationTime",
                "changed /d/x: modificationTime",
            ])
    }

    @Test func sizesAndStorageAreTold() throws {
        let new = try engine.create(.root, "new")
        try engine.store(new, 0, [UInt8](repeating: 1, count: 10_000))
        try engine.store(try id("a"), 4096, [UInt8](repeating: 1, count: 904))
        let changes = try changes(engine)
        #expect(changes.map(\.size) == [5000, 10_000])
        #expect(changes[0].storedBytes >= 904 && changes[0].storedBytes <= 8192)
        #expect(changes[1].storedBytes >= 10_000)
        #expect(changes.map(\.type) == [.regular, .regular])
    }

    @Test func whatIsNotCommittedIsNotSeen() throws {
        try engine.write(try id("a"), 0, [1], .unstable)
        #expect(try changes(engine).isEmpty)
        try engine.restart()
        #expect(try diff() == ["changed /a: content, modificationTime"])
    }

    // MARK: Names

    @Test func whatIsNewIsToldWithItsContents() throws {
        let directory = try engine.mkdir(.root, "n")
        try engine.create(directory, "one")
        let below = try engine.mkdir(directory, "sub")
        try engine.create(below, "two")
        try engine.call { session throws(Interrupt) in
            try session.makeSymbolicLink(
                below, Array("ln".utf8), target: [65], NFS3.SetAttributes(), .root)
        }
        #expect(
            try diff() == [
                "added /n/", "added /n/one", "added /n/sub/", "added /n/sub/ln",
                "added /n/sub/two",
            ])
        #expect(try changes(engine)[3].type == .symbolicLink)
    }

    @Test func aTreeThatIsRemovedIsToldWithItsContents() throws {
        try engine.remove(try id("d/e/f"), "deep")
        try engine.rmdir(try id("d/e"), "f")
        try engine.remove(try id("d/e"), "z")
        try engine.rmdir(try id("d"), "e")
        #expect(
            try diff() == [
                "removed /d/e/", "removed /d/e/f/", "removed /d/e/f/deep", "removed /d/e/z",
            ])
    }

    @Test func aRenamedDirectoryIsOneChange() throws {
        try engine.rename(.root, "d", try id("other"), "moved")
        #expect(try diff() == ["renamed /other/moved/ (was /d)"])
    }

    @Test func changesInsideARenamedDirectoryAreToldByTheirNewPath() throws {
        let directory = try id("d")
        try engine.rename(.root, "d", .root, "moved")
        try engine.store(try engine.lookup("moved/e/z"), 0, [1])
        try engine.create(try engine.lookup("moved/e"), "new")
        try engine.remove(directory, "x")
        try engine.remove(directory, "y")
        try engine.create(directory, "y")
        #expect(
            try diff()
                == [
                    "removed /d/x", "renamed /moved/ (was /d)",
                    "changed /moved/e/z (was /d/e/z): content, modificationTime",
                    "added /moved/e/new",
                    "replaced /moved/y (was /d/y)",
                ].sorted { path($0) < path($1) })
    }

    private func path(_ line: String) -> String { String(line.split(separator: " ")[1]) }

    @Test func renamesInsideRenamedDirectoriesAreTold() throws {
        try engine.rename(.root, "d", .root, "m")
        try engine.rename(try engine.lookup("m"), "e", .root, "n")
        try engine.rename(try engine.lookup("n"), "z", try engine.lookup("m"), "zz")
        #expect(
            try diff() == [
                "renamed /m/ (was /d)", "renamed /m/zz (was /d/e/z)", "renamed /n/ (was /d/e)",
            ])
    }

    @Test func directoriesCanTradePlaces() throws {
        try engine.rename(.root, "d", .root, "t")
        try engine.rename(.root, "other", .root, "d")
        try engine.rename(.root, "t", .root, "other")
        #expect(try diff() == ["renamed /d/ (was /other)", "renamed /other/ (was /d)"])
    }

    @Test func aRenamedFileTellsWhatElseIsNew() throws {
        let file = try id("a")
        try engine.rename(.root, "a", .root, "z")
        try engine.store(file, 0, [9])
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0))
        #expect(try diff() == ["renamed /z (was /a): content, mode, modificationTime"])
    }

    @Test func whatMovedOutOfARemovedDirectoryIsRenamed() throws {
        try engine.rename(try id("d/e/f"), "deep", .root, "kept")
        try engine.rmdir(try id("d/e"), "f")
        #expect(try diff() == ["removed /d/e/f/", "renamed /kept (was /d/e/f/deep)"])
    }

    // MARK: Replacing

    @Test func removingAndMakingAgainReplaces() throws {
        try engine.remove(.root, "a")
        try engine.create(.root, "a")
        try engine.remove(.root, "b")
        try engine.mkdir(.root, "b")
        #expect(try diff() == ["replaced /a", "replaced /b/"])
        let changes = try changes(engine)
        #expect(changes.map(\.oldType) == [.regular, .regular])
        #expect(changes.map(\.type) == [.regular, .directory])
    }

    @Test func aDirectoryMadeAgainReplacesAllThatItHeld() throws {
        try engine.remove(try id("other"), "o")
        try engine.remove(try id("other"), "hard2")
        try engine.rmdir(.root, "other")
        let new = try engine.mkdir(.root, "other")
        try engine.create(new, "o")
        // The names in it are of another directory.
        #expect(
            try diff() == [
                "replaced /other/", "removed /other/hard2", "removed /other/o", "added /other/o",
            ])
    }

    @Test func aNewFileRenamedOverAnOldOneReplaces() throws {
        let new = try engine.create(.root, "a.tmp")
        try engine.store(new, 0, [1])
        try engine.rename(.root, "a.tmp", .root, "a")
        #expect(try diff() == ["replaced /a"])
    }

    @Test func aFileOfTheImageRenamedOverAnotherIsARenameAndARemoval() throws {
        try engine.rename(.root, "b", .root, "a")
        #expect(try diff() == ["removed /a", "renamed /a (was /b)"])
    }

    @Test func aNameThatWasFreedByARenameIsAdded() throws {
        try engine.rename(.root, "a", .root, "z")
        try engine.create(.root, "a")
        #expect(try diff() == ["added /a", "renamed /z (was /a)"])
    }

    @Test func aSillyRenamedFileIsRenamedUntilItGoes() throws {
        try engine.rename(.root, "a", .root, ".nfs0001")
        #expect(try diff() == ["renamed /.nfs0001 (was /a)"])
        try engine.remove(.root, ".nfs0001")
        #expect(try diff() == ["removed /a"])
    }

    // MARK: Hard links

    @Test func namesOfOneObjectCanComeAndGo() throws {
        try engine.link(try id("a"), try id("d"), "again")
        try engine.remove(try id("other"), "hard2")
        let new = try engine.create(.root, "n1")
        try engine.link(new, .root, "n2")
        #expect(
            try diff() == [
                "added /d/again (the same as /a)", "added /n1", "added /n2 (the same as /n1)",
                "removed /other/hard2",
            ])
    }

    @Test func aLinkInPlaceOfARemovedNameIsARename() throws {
        try engine.link(try id("a"), .root, "z")
        try engine.remove(.root, "a")
        #expect(try diff() == ["renamed /z (was /a)"])
    }

    @Test func aLinkOverAnotherFileReplacesIt() throws {
        try engine.remove(.root, "b")
        try engine.link(try id("a"), .root, "b")
        #expect(try diff() == ["replaced /b (the same as /a)"])
    }

    @Test func anObjectWithSeveralNamesIsChangedOnce() throws {
        let hard = try id("d/hard1")
        #expect(try id("other/hard2") == hard)
        try engine.store(hard, 0, [9])
        #expect(try diff() == ["changed /d/hard1: content, modificationTime"])
        try engine.remove(try id("d"), "hard1")
        #expect(
            try diff() == [
                "removed /d/hard1", "changed /other/hard2: content, modificationTime",
            ])
    }

    @Test func anObjectWhoseOtherNamesNobodySawIsToldByTheOneThatIsGone() throws {
        let hard = try id("d/hard1")
        try engine.store(hard, 0, [9])
        try engine.remove(try id("d"), "hard1")
        #expect(
            try diff() == [
                "removed /d/hard1", "changed /d/hard1: content, modificationTime",
            ])
    }
}
