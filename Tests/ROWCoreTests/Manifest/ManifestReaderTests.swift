import Foundation
import GRDBSQLite
import Synchronization
import SystemPackage
import Testing

@testable import ROWCore

/// Reading while some of the file cannot be had.
@Suite struct ManifestReaderTests {
    @Test func bytesThatCannotBeHadNowAreAnErrorOfTheirOwnAndComeLater() throws {
        let tree = try SealedTree()
        for number in 0..<3000 { try tree.file(Array("\(number)".utf8), [UInt8(number & 255)]) }
        try tree.seal()
        AbsentBytes.register()
        let reader = try ManifestReader(path: tree.manifest.string, vfs: AbsentBytes.name)
        AbsentBytes.isAbsent.store(true, ordering: .relaxed)
        defer { AbsentBytes.isAbsent.store(false, ordering: .relaxed) }
        for _ in 0..<3 {
            let error = #expect(throws: StateError.self) {
                try reader.page(of: 1, count: 4096)
            }
            #expect(error?.code == .io)
        }
        let opening = #expect(throws: StateError.self) {
            try ManifestReader(path: tree.manifest.string, vfs: AbsentBytes.name)
        }
        #expect(opening?.code == .io)
        AbsentBytes.isAbsent.store(false, ordering: .relaxed)
        let page = try reader.page(of: 1, count: 4096)
        #expect(page.entries.count == 3000 && page.isLast)
        #expect(try reader.find(path: Array("2999".utf8)) != nil)
    }
}

/// SQLite's own virtual file system, whose files cannot be read at times.
private enum AbsentBytes {
    static let name = "rowfs-test-absent"
    static let isAbsent = Atomic<Bool>(false)

    static func register() { _ = isRegistered }

    private static let isRegistered: Bool = {
        guard let base = sqlite3_vfs_find("unix") else { return false }
        system = base
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: base.pointee)
        vfs.pointee.zName = UnsafePointer(strdup(name))
        vfs.pointee.xOpen = { _, path, file, flags, outFlags in
            let code = system.pointee.xOpen(system, path, file, flags, outFlags)
            guard code == SQLITE_OK, let file, let methods = file.pointee.pMethods else {
                return code
            }
            readOriginal = methods.pointee.xRead
            let table = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
            table.initialize(to: methods.pointee)
            table.pointee.xRead = { file, bytes, count, offset in
                isAbsent.load(ordering: .relaxed)
                    ? SQLITE_IOERR : readOriginal(file, bytes, count, offset)
            }
            file.pointee.pMethods = UnsafePointer(table)
            return code
        }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }()

    /// Written before SQLite can call anything that reads them, and always the same.
    nonisolated(unsafe) private static var system: UnsafeMutablePointer<sqlite3_vfs>!
    nonisolated(unsafe) private static var readOriginal:
        (
            @convention(c) (
                UnsafeMutablePointer<sqlite3_file>?, UnsafeMutableRawPointer?, Int32, sqlite3_int64
            ) -> Int32
        )!
}
