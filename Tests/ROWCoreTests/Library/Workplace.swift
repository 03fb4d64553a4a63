import Foundation
import SystemPackage

@testable import ROWCore

/// A state directory, and a directory that can be an image; both go with this object.
final class Workplace: Sendable {
    let path = NSTemporaryDirectory() + "rowcore.library." + UUID().uuidString

    var state: StateLayout { StateLayout(FilePath(path + "/state")) }
    var directory: String { path + "/image" }

    init() throws {
        try FileManager.default.createDirectory(
            atPath: directory + "/d", withIntermediateDirectories: true)
        try Disk.write(directory + "/file", Data("text".utf8))
        try Disk.write(directory + "/d/large", Data((0..<100_000).map { UInt8($0 % 251) }))
        try FileManager.default.createSymbolicLink(
            atPath: directory + "/link", withDestinationPath: "d/large")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// For tests that do not ask what a power failure leaves.
    static var relaxed: Image.Options {
        var options = Image.Options()
        options.durability = .relaxed
        return options
    }

    func open(_ source: (any ImageSource)? = nil) async throws -> Image {
        try await Image.open(
            try source ?? DirectorySource(FilePath(directory)), state: state,
            options: Self.relaxed)
    }
}
