import Glibc
import NIOCore

/// Which local ports to try for the next connection.
///
/// Linux exports are `secure` by default: they answer only ports below 1024. After a loss the port of
/// the lost connection comes first, because servers know a retransmitted call by it as well.
struct LocalPorts {
    /// The range the Linux client uses; below it live well-known services.
    static let reserved = 665...1023
    /// How many ports are tried for one connection before an ordinary one is taken.
    static let attemptsMaximum = 32

    private var isPermitted: Bool
    private var lastUsed: Int?

    init(_ choice: RPCConnection.ReservedPort) {
        isPermitted = choice == .ifPermitted
    }

    /// What became of an attempt with a reserved port.
    enum Verdict {
        /// The port is the reason: try the next.
        case tryNext
        /// The process may not use reserved ports.
        case notPermitted
        /// The port is not the reason.
        case unrelated
    }

    /// The ports to try in turn; nil stands for any ordinary one and comes last.
    func candidates() -> [Int?] {
        guard isPermitted else { return [nil] }
        var ports: [Int?] = lastUsed.map { [$0] } ?? []
        let start = Int.random(in: Self.reserved)
        for index in 0..<Self.attemptsMaximum {
            let offset = (start - Self.reserved.lowerBound + index) % Self.reserved.count
            ports.append(Self.reserved.lowerBound + offset)
        }
        return ports + [nil]
    }

    mutating func connected(from port: Int?) { lastUsed = port }

    mutating func failed(with error: any Error) -> Verdict {
        switch (error as? IOError)?.errnoCode {
        case EACCES, EPERM:
            isPermitted = false
            return .notPermitted
        case EADDRINUSE, EADDRNOTAVAIL:
            return .tryNext
        default:
            return .unrelated
        }
    }
}
