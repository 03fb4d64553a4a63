import CLinux
import GRDB
import Glibc
import SystemPackage

extension SessionStore {
    /// Removes the shadow files that no row refers to: of writes that were never recorded, and of
    /// objects whose removal was committed just before a crash. What remains is durable by name.
    func sweepShadow() throws(StateError) {
        do {
            let directory = try FileDescriptor.open(
                shadowDirectory, .readOnly, options: [.directory, .closeOnExec])
            // The listing takes over the descriptor.
            guard let listing = clinux_dir_open(directory.rawValue) else {
                try? directory.close()
                throw Errno.noMemory
            }
            defer { clinux_dir_close(listing) }
            try writer.readNow { db in
                let content = try db.makeStatement(sql: "SELECT 1 FROM content WHERE node = ?")
                while let name = try Self.next(listing) {
                    guard let id = Self.node(ofShadow: name),
                        try Int.fetchOne(content, arguments: [id.row]) == nil
                    else { continue }
                    unlink(shadowDirectory.appending(name).string)
                }
            }
        } catch {
            throw StateError(.io, "cannot tidy up \(shadowDirectory): \(error)")
        }
        try shadowDirectory.sync()
    }

    private static func next(_ listing: OpaquePointer) throws(Errno) -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        var ino: UInt64 = 0
        var type: UInt32 = 0
        let code = clinux_dir_next(listing, &buffer, &ino, &type)
        guard code >= 0 else { throw Errno(rawValue: -code) }
        let name = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return code == 0 ? nil : String(decoding: name, as: UTF8.self)
    }

    /// The node whose changed data a file of this name holds (see ``shadowPath(_:)``); nil for names
    /// that are not ours.
    private static func node(ofShadow name: String) -> NodeID? {
        let parts = name.split(separator: ".")
        guard parts.count == 2, parts[1] == "\(SessionRow.topLayer)" else { return nil }
        return UInt64(parts[0], radix: 16).map(NodeID.init(rawValue:))
    }
}
