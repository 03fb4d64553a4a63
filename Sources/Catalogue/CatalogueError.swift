/// Why the catalogue cannot do what was asked: what, why, and what to do about it.
public struct CatalogueError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// Text that is no reference, URL, key or setting.
        case invalid
        /// A key file that is missing, cannot be read, or that others can read.
        case badKey
        /// The catalogue could not be read, or not all of it. Nothing is known of what is in it.
        case unreadable
        /// The catalogue could not be written.
        case notWritten
        /// It was read, and there is no valid record of this appliance or version.
        case notFound
        /// The version is on record, and no server that holds it.
        case noLocation
        /// Every version was retired by its publisher.
        case retired
        /// It offers only older versions than were seen before, and does not say that those were retired.
        case rolledBack
        /// There is one already, and it is another.
        case exists
        /// A file of this machine's state cannot be used.
        case state
    }

    public let code: Code
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
