import Glibc
import NFSProtocol
public import SystemPackage

/// A directory of this machine as an image for ``Image/open(_:state:options:)``.
public actor DirectorySource: ImageSource {
    /// The directory's path, without symbolic links.
    public nonisolated let name: String
    private let path: FilePath
    /// Each image has its own ids, by which open files are found.
    private var directories: [UInt64: DirectoryImage] = [:]

    /// - Throws: NOENT and its like when there is nothing at the path. Whether it is a directory shows
    ///   when an image is opened.
    public init(_ path: FilePath) throws(ROWError) {
        guard let real = path.withPlatformString({ realpath($0, nil) }) else {
            let why = Errno(rawValue: errno)
            throw ROWError(
                .status(NFS3.Status(why)),
                "cannot use \(path) as an image: \(why); give a directory of this machine",
                path: path)
        }
        defer { free(real) }
        self.path = FilePath(platformString: real)
        name = self.path.string
    }

    public func rootEntry() throws(ROWError) -> MainEntry {
        do {
            return try DirectoryImage(path: path).rootEntry()
        } catch {
            throw ROWError(error)
        }
    }

    public func perform(_ fetch: Fetch, on object: ImageObject) -> FetchResult {
        do {
            return try directory(of: object).answer(fetch, object)
        } catch {
            return .failed(.jukebox)
        }
    }

    public func read(
        _ object: ImageObject, _ range: Range<UInt64>
    ) throws(ROWError) -> [UInt8] {
        do {
            let file = try directory(of: object).openFile(object.id, object)
            var bytes = [UInt8](repeating: 0, count: range.count)
            try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
            return bytes
        } catch let error as Errno {
            throw ROWError(NFS3.Status(error))
        } catch let error as StateError {
            throw ROWError(error)
        } catch {
            throw ROWError(.status(.io), "\(error)")
        }
    }

    public func release(image: UInt64) { directories[image] = nil }

    private func directory(of object: ImageObject) throws(StateError) -> DirectoryImage {
        if let directory = directories[object.image] { return directory }
        let directory = try DirectoryImage(path: path)
        directories[object.image] = directory
        return directory
    }
}

extension ImageObject: ObjectIndex {
    func path(of id: NodeID) -> [UInt8]? { id == self.id ? path : nil }

    func attributes(of id: NodeID) -> NFS3.Attributes? { id == self.id ? attributes : nil }

    /// Whoever asked gets STALE, which says it all.
    func report(_ event: String) {}
}
