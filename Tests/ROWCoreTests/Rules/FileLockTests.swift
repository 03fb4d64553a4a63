import Foundation
import Glibc
import SystemPackage
import Testing

@testable import ROWCore

@Suite struct FileLockTests {
    private let folder: FilePath

    init() throws {
        let path = NSTemporaryDirectory() + "rowcore-lock.\(UUID())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        folder = FilePath(path)
    }

    @Test func aLockIsOnePerFileAndFreeWhenReleased() throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        let path = folder.appending("lock")
        let first = try FileLock(path, purpose: "it")
        #expect(throws: StateError.self) { try FileLock(path, purpose: "it") }
        first.release()
        try FileLock(path, purpose: "it").release()
    }

    /// A program that is being started has all descriptors until it begins.
    @Test func aLockIsFreeThoughAChildStillHasItsDescriptor() throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        let path = folder.appending("lock")
        let lock = try FileLock(path, purpose: "it")
        let real = try #require(realpath(path.string, nil))
        defer { free(real) }
        let held = try #require(
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").first { number in
                (try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/self/fd/\(number)")) == String(cString: real)
            })
        let copy = dup(try #require(Int32(held)))
        defer { close(copy) }
        lock.release()
        try FileLock(path, purpose: "it").release()
    }
}
