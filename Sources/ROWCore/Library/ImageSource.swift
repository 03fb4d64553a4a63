public import NFSProtocol

/// Anything that can be an image: a tree that does not change while sessions stand on it.
///
/// An ``Image`` asks it for names, attributes, link targets and data when it needs them for the first
/// time, and keeps what it was told for ever. Calls may come at the same time; pages of one directory
/// are asked for one after the other. One source may serve several images.
public protocol ImageSource: Sendable {
    /// The same for the same image, however it is reached: an absolute path, or a URL. Sessions
    /// remember it.
    var name: String { get }

    /// The server that it asks, by its canonical name, where ``name`` is not that: fileids and handles are each
    /// server's own. Nil otherwise.
    var server: String? { get }

    /// The root directory, as it is now.
    func rootEntry() async throws(ROWError) -> MainEntry

    /// Answers a fetch; failures are NFS statuses in the answer, JUKEBOX for a source that does not
    /// answer now.
    ///
    /// The pages of a directory come in any order and of any size, without `.` and `..`. The source
    /// remembers how far each listing has come; after a failed page the listing may start again.
    /// - Parameter object: what the fetch is about: the directory of a LOOKUP or of a listing, or a
    ///   symbolic link.
    func perform(_ fetch: Fetch, on object: ImageObject) async -> FetchResult

    /// Reads data of a regular file.
    /// - Parameter range: bytes, all of them below the file's size; not empty.
    /// - Returns: exactly these bytes.
    /// - Throws: STALE when the file is no longer what `object` says, JUKEBOX when the source does not
    ///   answer now.
    func read(_ object: ImageObject, _ range: Range<UInt64>) async throws(ROWError) -> [UInt8]

    /// The image will not ask any more.
    /// - Parameter image: which, see ``ImageObject/image``.
    func release(image: UInt64) async
}

extension ImageSource {
    public var server: String? { nil }
}

/// An object of an image: where it is, and what is known of it.
public struct ImageObject: Sendable {
    /// Tells images that share a source apart.
    public let image: UInt64
    public let id: NodeID
    /// The path in the image without a leading slash, empty for the root. No assumption about its
    /// encoding.
    public let path: [UInt8]
    /// As the source reported them when the object was first seen.
    public let attributes: NFS3.Attributes
    /// The handle that the source gave along with the object, if it has such.
    public let handle: NFS3.FileHandle?

    public init(
        image: UInt64, id: NodeID, path: [UInt8], attributes: NFS3.Attributes,
        handle: NFS3.FileHandle?
    ) {
        self.image = image
        self.id = id
        self.path = path
        self.attributes = attributes
        self.handle = handle
    }
}

extension Fetch {
    /// The object that the fetch is about.
    public var subject: NodeID {
        switch self {
        case .lookup(let directory, _), .listing(let directory): directory
        case .target(let id): id
        }
    }
}
