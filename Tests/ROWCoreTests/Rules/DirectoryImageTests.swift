import Foundation
import NFSProtocol
import Testing

@testable import ROWCore

/// A directory of this host as an image.
@Suite struct DirectoryImageTests {
    private let engine: Engine
    private let root: String

    init() throws {
        root = NSTemporaryDirectory() + "rowcore.image." + UUID().uuidString
        let manager = FileManager.default
        try manager.createDirectory(
            atPath: root + "/shared/d", withIntermediateDirectories: true)
        try Disk.write(root + "/secret", Data("secret".utf8))
        try Disk.write(root + "/shared/d/file", Data("text".utf8))
        try manager.linkItem(atPath: root + "/shared/d/file", toPath: root + "/shared/hard")
        try manager.createSymbolicLink(
            atPath: root + "/shared/link", withDestinationPath: "../secret")
        engine = try Engine(try DirectoryMain(path: root + "/shared"))
    }

    private func cleanUp() { try? FileManager.default.removeItem(atPath: root) }

    @Test func itsObjectsAreThereAndHardLinksAreOne() throws {
        defer { cleanUp() }
        #expect(try engine.names(.root) == ["d", "hard", "link"])
        let file = try engine.lookup("d/file")
        #expect(try engine.lookup("hard") == file)
        #expect(try engine.attributes(file).nlink == 2)
        #expect(try engine.read(file).bytes == Array("text".utf8))
        let link = try engine.lookup("link")
        let target = try engine.run { session throws(Interrupt) in try session.target(of: link) }
        #expect(target == Array("../secret".utf8))
    }

    @Test func noNameLeadsOutOfIt() throws {
        defer { cleanUp() }
        for name in ["../secret", "d/../../secret", "/etc/passwd", "d/file", "d\0"] {
            #expect(throws: Refusal(.noent), "\(name)") {
                try engine.lookup(.root, Array(name.utf8))
            }
        }
    }

    @Test func changesGoToTheShadowAndNeverToTheImage() throws {
        defer { cleanUp() }
        let file = try engine.lookup("d/file")
        try engine.store(file, 1, Array("EX".utf8))
        try engine.remove(.root, "hard")
        try engine.restart()
        #expect(try engine.read(file).bytes == Array("tEXt".utf8))
        #expect(try Disk.contents(root + "/shared/d/file") == Data("text".utf8))
        #expect(try Disk.names(root + "/shared") == ["d", "hard", "link"])
    }

    @Test func aFileThatChangedUnderTheImageIsStaleAndReported() throws {
        defer { cleanUp() }
        let file = try engine.lookup("d/file")
        try Disk.write(root + "/shared/d/file", Data("another text".utf8))
        #expect(throws: (any Error).self) { try engine.read(file) }
        #expect(engine.events.contains { $0.contains("changed under us") })
    }
}
