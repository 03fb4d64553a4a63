import Foundation
public import SystemPackage

/// The cache files of an image: `blocks/<last byte of the id>/<id>`, in hexadecimal.
public struct CacheDirectory: Sendable {
    public let path: FilePath

    /// - Parameter image: the image's directory.
    public init(image: FilePath) { path = image.appending("blocks") }

    func folder(of id: NodeID) -> FilePath {
        let byte = String(id.rawValue & 0xFF, radix: 16)
        return path.appending(byte.count < 2 ? "0" + byte : byte)
    }

    func file(of id: NodeID) -> FilePath {
        folder(of: id).appending(String(id.rawValue, radix: 16))
    }

    /// Opens a cache file; see ``CacheFile/open(_:_:create:lost:)``.
    public func open(
        _ layout: CacheLayout, create: Bool, lost: () -> Void
    ) throws(Errno) -> CacheFile? {
        let file = file(of: layout.id)
        do {
            return try CacheFile.open(file, layout, create: create, lost: lost)
        } catch .noSuchFileOrDirectory where create {
            let code = Storage.makeDirectories(folder(of: layout.id))
            guard code == 0 else { throw Errno(rawValue: -code) }
            return try CacheFile.open(file, layout, create: create, lost: lost)
        }
    }

    public func remove(_ id: NodeID) { Storage.remove(file(of: id)) }

    /// All cache files, and the bytes of storage that each takes up.
    public func scan() -> [(id: NodeID, allocated: UInt64)] {
        let files = FileManager.default
        var found: [(id: NodeID, allocated: UInt64)] = []
        for folder in (try? files.contentsOfDirectory(atPath: path.string)) ?? [] {
            let folder = path.appending(folder)
            for name in (try? files.contentsOfDirectory(atPath: folder.string)) ?? [] {
                guard let number = UInt64(name, radix: 16) else { continue }
                var status = stat()
                guard lstat(folder.appending(name).string, &status) == 0 else { continue }
                found.append((NodeID(rawValue: number), UInt64(status.st_blocks) * 512))
            }
        }
        return found
    }
}
