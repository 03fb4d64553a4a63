import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Images: any source, several tasks and sessions, closing, and what is kept.
@Suite struct ImageLibraryTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private func tree() -> PlainTree {
        var tree = PlainTree()
        tree.make("a", .directory)
        for index in 0..<20 {
            tree.make("a/f\(index)", data: [UInt8](repeating: UInt8(index), count: 5000))
        }
        tree.make("link", .symbolicLink, target: "a/f0")
        return tree
    }

    private func code(_ body: () async throws -> Void) async -> ROWError.Code? {
        do { try await body() } catch { return (error as? ROWError)?.code }
        return nil
    }

    @Test func anySourceCanBeAnImage() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        let session = try await image.openSession("s")
        #expect(try await session.list("/a").count == 20)
        #expect(try await session.readLink("/link") == "a/f0")
        #expect(try await session.readAll("/a/f7") == [UInt8](repeating: 7, count: 5000))
        try await image.close()
        #expect(source.released.count == 1)
    }

    @Test func whatTheSourceToldIsKeptAndAskedOnce() async throws {
        let source = PlainSource(tree())
        for round in 0..<2 {
            let image = try await place.open(source)
            let session = try await image.openSession("s\(round)")
            #expect(try await session.list("/a").count == 20)
            #expect(try await session.attributes("/a/f3").size == 5000)
            try await image.close()
        }
        #expect(Set(source.fetches).count == 2)
        #expect(source.fetches.count == 1 + 7)
    }

    @Test func equalQuestionsUnderWayAreAskedOnce() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        let sessions = [
            try await image.openSession("s"), try await image.openSession("t"),
        ]
        try await withThrowingTaskGroup(of: UInt64.self) { group in
            for index in 0..<40 {
                group.addTask { try await sessions[index % 2].attributes("/a/f1").size }
            }
            for try await size in group { #expect(size == 5000) }
        }
        #expect(source.fetches.count == 2)
        try await image.close()
    }

    @Test func tasksShareASessionAndItsCommits() async throws {
        let image = try await place.open(PlainSource(tree()))
        let session = try await image.openSession("s")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<50 {
                group.addTask {
                    let path = FilePath("/n\(index)")
                    try await session.create(path)
                    try await session.write([UInt8(index)], to: path, at: 0)
                    try await session.rename(path, to: FilePath("/a/n\(index)"))
                    #expect(
                        try await session.readAll(FilePath("/a/n\(index)")) == [UInt8(index)])
                }
            }
            try await group.waitForAll()
        }
        let changes = try await session.diff()
        #expect(changes.count == 50)
        #expect(changes.allSatisfy { $0.kind == .added && $0.size == 1 })
        try await image.close()
    }

    @Test func unstableWritesToManyFilesAreMadeDurableUnasked() async throws {
        let image = try await place.open(PlainSource(tree()))
        let session = try await image.openSession("s")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<1100 {
                group.addTask { try await session.create(FilePath("/n\(index)")) }
            }
            try await group.waitForAll()
        }
        for index in 0..<1100 {
            try await session.write(
                [1], to: FilePath("/n\(index)"), at: 0, stable: .unstable)
        }
        let stored = try SessionDiff.read("s", in: place.state)
        #expect(stored.count == 1100)
        // Those before the limit was passed; each of the others would be kept in memory.
        #expect(stored.filter { $0.size == 1 }.count > 1000)
        try await image.close()
    }

    @Test func aReadThatOverlapsWritesIsOfOneMoment() async throws {
        let image = try await place.open(PlainSource(tree()))
        let session = try await image.openSession("s")
        for _ in 0..<20 {
            async let read = session.readAll("/a/f5")
            async let write: Void = session.write(
                [UInt8](repeating: 99, count: 5000), to: "/a/f5", at: 0)
            let bytes = try await read
            try await write
            #expect(Set(bytes).count == 1 && bytes.count == 5000)
        }
        try await image.close()
    }

    @Test func aFailingSourceFailsTheCallAndNotTheSession() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        let session = try await image.openSession("s")
        _ = try await session.list("/")
        source.fail(with: .jukebox)
        #expect(await code { _ = try await session.list("/a") } == .status(.jukebox))
        try await session.create("/own")
        source.fail(with: nil)
        #expect(try await session.list("/a").count == 20)
        source.fail(with: .stale)
        #expect(await code { _ = try await session.readAll("/a/f1") } == .status(.stale))
        try await image.close()
    }

    @Test func anImageThatWasSeenOpensWithoutItsSource() async throws {
        let source = PlainSource(tree())
        source.fail(with: .jukebox)
        #expect(await code { _ = try await place.open(source) } == .status(.jukebox))
        source.fail(with: nil)
        let first = try await place.open(source)
        let session = try await first.openSession("s")
        _ = try await session.list("/a")
        try await first.close()
        source.fail(with: .jukebox)
        let image = try await place.open(source)
        #expect(try await image.openSession("s").list("/a").count == 20)
        try await image.close()
    }

    @Test func sessionsOfAnImageDoNotSeeEachOther() async throws {
        let image = try await place.open(PlainSource(tree()))
        let one = try await image.openSession("one")
        let other = try await image.openSession("other")
        try await one.remove("/a/f1")
        #expect(try await other.attributes("/a/f1").size == 5000)
        #expect(await code { _ = try await one.attributes("/a/f1") } == .status(.noent))
        #expect(await code { _ = try await image.openSession("one") } == .state(.locked))
        try await one.close()
        let again = try await image.openSession("one")
        #expect(try await again.diff().map(\.description) == ["removed /a/f1"])
        try await image.close()
    }

    @Test func whatIsClosedRefusesAndIsFree() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        #expect(await code { _ = try await place.open(source) } == .state(.imageInUse))
        let session = try await image.openSession("s")
        try await session.write([1], to: "/a/f1", at: 0, stable: .unstable)
        try await image.close()
        try await image.close()
        try await session.close()
        #expect(await code { try await session.create("/x") } == .closed)
        #expect(await code { _ = try await session.diff() } == .closed)
        #expect(await code { _ = try await image.openSession("t") } == .closed)
        let next = try await place.open(source)
        #expect(try await next.openSession("s").read("/a/f1", at: 0, count: 2) == [1, 1])
        try await next.close()
    }

    @Test func closingWhileOthersWorkLosesNothingThatReturned() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        let session = try await image.openSession("s")
        let made = await withTaskGroup(of: Int?.self) { group in
            for index in 0..<60 {
                group.addTask {
                    do throws(ROWError) {
                        _ = try await session.readAll(FilePath("/a/f\(index % 20)"))
                        try await session.create(FilePath("/n\(index)"))
                        if index == 30 { try await image.close() }
                        return index
                    } catch {
                        #expect(error.code == .closed)
                        return nil
                    }
                }
            }
            return await group.reduce(into: Set<Int>()) { if let index = $1 { $0.insert(index) } }
        }
        let next = try await place.open(source)
        let again = try await next.openSession("s")
        let names = Set(
            try await again.list("/").compactMap { $0.path.lastComponent?.string })
        #expect(names.isSuperset(of: made.map { "n\($0)" }))
        try await next.close()
    }

    @Test func aSessionSurvivesTheLossOfTheImageDatabase() async throws {
        let source = PlainSource(tree())
        let image = try await place.open(source)
        let session = try await image.openSession("s")
        try await session.write([42], to: "/a/f2", at: 0)
        try await image.close()
        try FileManager.default.removeItem(atPath: place.state.image(source.name).string)
        #expect(throws: StateError.self) { try SessionDiff.read("s", in: place.state) }
        let next = try await place.open(source)
        let again = try await next.openSession("s")
        #expect(try await again.read("/a/f2", at: 0, count: 2) == [42, 2])
        #expect(try await again.diff().map(\.path) == ["/a/f2"])
        try await next.close()
    }

    @Test func whatIsNoDirectoryIsRefused() async throws {
        #expect(
            await code { _ = try DirectorySource("/nonexistent/directory") } == .status(.noent))
        let file = try DirectorySource(FilePath(place.directory + "/file"))
        #expect(await code { _ = try await place.open(file) } == .state(.notFound))
    }

    @Test func oneDirectoryCanServeTwoImages() async throws {
        let source = try DirectorySource(FilePath(place.directory))
        let other = try Workplace()
        let one = try await place.open(source)
        let two = try await other.open(source)
        let first = try await one.openSession("s")
        let second = try await two.openSession("s")
        _ = try await second.list("/d")
        #expect(try await first.readAll("/file") == Array("text".utf8))
        #expect(try await second.readAll("/file") == Array("text".utf8))
        #expect(try await second.readAll("/d/large") == first.readAll("/d/large"))
        try await one.close()
        #expect(try await second.readAll("/file") == Array("text".utf8))
        try await two.close()
    }

    @Test func aFileThatChangedUnderTheImageIsStale() async throws {
        let image = try await place.open()
        let session = try await image.openSession("s")
        #expect(try await session.attributes("/file").size == 4)
        try Disk.write(place.directory + "/file", Data("another text".utf8))
        #expect(await code { _ = try await session.readAll("/file") } == .status(.stale))
        try await image.close()
    }
}
