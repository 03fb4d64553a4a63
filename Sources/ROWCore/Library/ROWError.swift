public import NFSProtocol
public import SystemPackage

/// Why something that was asked of an ``Image`` or a ``Session`` was not done: what, where, and what
/// to do about it. Two errors are equal when their codes and paths are.
public struct ROWError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// The operation was refused with this NFS status (RFC 1813 §2.6).
        case status(NFS3.Status)
        /// What is kept on disk cannot be used.
        case state(StateError.Code)
        /// The image or the session has been closed.
        case closed
    }

    public let code: Code
    /// The path in the session, where the error is about one.
    public let path: FilePath?
    /// What happened, why, and what to do about it.
    public let message: String

    public init(_ code: Code, _ message: String, path: FilePath? = nil) {
        self.code = code
        self.message = message
        self.path = path
    }

    init(_ error: StateError) { self.init(.state(error.code), error.message) }

    /// A refusal that its status alone explains.
    public init(_ status: NFS3.Status, path: FilePath? = nil) {
        let place = path.map { "\($0): " } ?? ""
        self.init(.status(status), place + Self.explanation(of: status), path: path)
    }

    public static func == (lhs: ROWError, rhs: ROWError) -> Bool {
        lhs.code == rhs.code && lhs.path == rhs.path
    }

    public var description: String { message }

    private static func explanation(of status: NFS3.Status) -> String {
        switch status {
        case .noent: "there is no such file or directory"
        case .exist: "there is a file or directory of that name"
        case .notdir: "a part of the path is not a directory (symbolic links are not followed)"
        case .isdir: "it is a directory; use the method for directories"
        case .notEmpty: "the directory is not empty; remove what it holds first"
        case .inval: "that cannot be done with such an object or name"
        case .nameTooLong: "a name has more than 255 bytes; choose a shorter one"
        case .acces: "permission denied; open the session with another credential"
        case .perm: "only its owner may do that; open the session with another credential"
        case .rofs: "the session is read-only; open it without isReadOnly"
        case .fbig: "the file would be larger than the session can keep"
        case .nospc, .dquot: "there is no room for the session's changes; make some and try again"
        case .stale: "it is gone, or the image is no longer what it was when first read"
        case .jukebox: "the image's source does not answer now; try again later"
        case .io: "reading or writing failed; the image's onEvent was told why"
        default: "\(status)"
        }
    }
}
