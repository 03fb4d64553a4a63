import Foundation
import ROWTestKit
import Testing

@testable import Catalogue

@Suite struct SigningKeyTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory("rowfs-key") }

    @Test func isReadAgainAndOnlyItsOwnersToRead() throws {
        let path = folder.path("new/app.key")
        let key = try SigningKey.make(file: path)
        #expect(try SigningKey(file: path).fingerprint == key.fingerprint)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("new")).count == 1)
        #expect(throws: CatalogueError.self) { try SigningKey.make(file: path) }
        #expect(try SigningKey.readOrMake(file: path).fingerprint == key.fingerprint)
    }

    @Test(arguments: [0o640, 0o604, 0o620]) func oneThatOthersMayReadIsRefused(mode: Int) throws {
        let path = folder.path("app.key")
        _ = try SigningKey.make(file: path)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        let error = #expect(throws: CatalogueError.self) { try SigningKey(file: path) }
        #expect(error?.code == .badKey && error?.message.contains("chmod 600") == true)
    }

    @Test func filesWithoutAKeyAreRefused() throws {
        for (name, text) in [("empty", ""), ("short", "rowfs-ed25519-private-key AAAA\n")] {
            let path = try folder.file(name, text)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            #expect(throws: CatalogueError.self) { try SigningKey(file: path) }
        }
        #expect(throws: CatalogueError.self) { try SigningKey(file: folder.path("none")) }
        #expect(throws: CatalogueError.self) { try SigningKey(file: folder.path) }
    }
}
