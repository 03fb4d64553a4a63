/// Why machines cannot be booted from the network: what, why, and what to do.
public struct NetbootError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// There is no network interface of this name.
        case noInterface
        /// The interface has no IPv4 address.
        case noAddress
        /// A setting that cannot be used.
        case invalidSetting
        /// The image has no kernel or initial file system where they should be.
        case missingFile
        /// dnsmasq is not installed.
        case missingProgram
        /// Another program has the ports that dnsmasq needs.
        case addressInUse
        /// dnsmasq does not start; the message has its last lines.
        case notStarted
        /// The system refused: a file, a socket, a process.
        case io
    }

    public let code: Code
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
