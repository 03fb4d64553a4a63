import CLinux
import Glibc
import NFSProtocol

/// Puts a tree of this machine on record: directory by directory, what each has by which name.
struct TreeWalk {
    let root: TreeRoot
    let record: TreeRecord
    /// A manifest of an earlier version: files whose path, size and time of modification it has need not
    /// be read.
    let earlier: ManifestReader?

    /// - Parameter progress: called after each directory.
    func run(progress: () -> Void) throws {
        try record.addRoot(known: earlier == nil ? 0 : ManifestEntry.root)
        var id: UInt64 = 0
        while let directory = try record.directory(after: id) {
            id = directory.id
            try walk(directory)
            progress()
        }
    }

    /// Looks whether the directories are as they were when they were walked.
    func checkDirectories() throws {
        var id: UInt64 = 0
        while let directory = try record.directory(after: id) {
            id = directory.id
            let path = try record.path(of: id)
            let fd = try root.open(path, CLINUX_O_PATH)
            defer { close(fd) }
            guard FileVersion(try root.attributes(fd, path)) == (try record.version(of: id))
            else { throw root.changed(path) }
        }
    }

    private func walk(_ directory: TreeRecord.Directory) throws {
        let path = try record.path(of: directory.id)
        let fd = try root.open(path, UInt64(O_RDONLY | O_DIRECTORY))
        guard let listing = clinux_dir_open(fd) else {
            close(fd)
            throw root.failure(-ENOMEM, path)
        }
        defer { clinux_dir_close(listing) }
        let version = FileVersion(try root.attributes(fd, path))
        var buffer = [CChar](repeating: 0, count: 256)
        var ino: UInt64 = 0
        var type: UInt32 = 0
        while true {
            let code = clinux_dir_next(listing, &buffer, &ino, &type)
            guard code >= 0 else { throw root.failure(code, path) }
            guard code > 0 else { break }
            let name = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            if name == Self.dot || name == Self.dotDot { continue }
            if path.isEmpty, name == ManifestFiles.directoryName { continue }
            try record.add(
                try finding(
                    name, in: fd, path.isEmpty ? name : path + [UInt8(ascii: "/")] + name,
                    directory.known),
                in: directory.id)
        }
        // What came or went meanwhile may be missing.
        guard FileVersion(try root.attributes(fd, path)) == version else {
            throw root.changed(path)
        }
        try record.finish(directory.id, version)
    }

    private static let dot = Array(".".utf8)
    private static let dotDot = Array("..".utf8)

    /// - Parameter known: the directory in the earlier manifest; 0 when it has none.
    private func finding(
        _ name: [UInt8], in directory: Int32, _ path: [UInt8], _ known: UInt64
    ) throws -> TreeRecord.Finding {
        let fd = try root.look(at: name, in: directory, path)
        defer { close(fd) }
        let attributes = try root.attributes(fd, path)
        var target: [UInt8]?
        switch attributes.type {
        case .symbolicLink: target = try root.target(fd, path)
        case .regular where attributes.size > ManifestEntry.sizeMaximum:
            throw StateError(
                .io, "\(String(decoding: path, as: UTF8.self)) is too long to be served")
        default: break
        }
        return TreeRecord.Finding(
            name: name, attributes: attributes, target: target,
            known: try unchanged(name, attributes, in: known))
    }

    /// The number that an unchanged object has in the earlier manifest; 0 when there is none.
    private func unchanged(
        _ name: [UInt8], _ attributes: NFS3.Attributes, in directory: UInt64
    ) throws -> UInt64 {
        guard directory != 0, attributes.type == .directory || attributes.type == .regular,
            let before = try earlier?.entry(in: directory, named: name),
            before.attributes.type == attributes.type
        else { return 0 }
        let isSame =
            attributes.type == .directory
            || (before.attributes.size == attributes.size
                && before.attributes.mtime == attributes.mtime)
        return isSame ? before.node : 0
    }
}
