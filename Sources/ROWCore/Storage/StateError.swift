/// Something on disk that stops us: what, why, and what to do about it.
public struct StateError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// Another process works on this session.
        case locked
        /// Another process serves this image; it may take the session in.
        case imageInUse
        /// A database was written by a newer version of this program.
        case newerSchema
        /// A database cannot be read.
        case unreadable
        /// The session stands on another image.
        case imageMismatch
        /// The session's data is elsewhere.
        case shadowMismatch
        /// There is no such session or image.
        case notFound
        /// There is one of this name already.
        case exists
        /// A name that cannot be used.
        case invalidName
        /// The file system refused.
        case io
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    /// Something else lies where a file of ours is to be.
    static func notOurs(_ path: some CustomStringConvertible) -> StateError {
        StateError(
            .io,
            "\(path) is a link, a pipe or a device where a file is to be: somebody else may have put it "
                + "there; look who could, and remove it")
    }
}
