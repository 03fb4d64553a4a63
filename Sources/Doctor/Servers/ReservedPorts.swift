import Glibc
import NFSClient
import ROWProxy

/// Ports that only root may use.
enum ReservedPorts {
    /// Whether servers are called from them.
    static func areUsable(_ surroundings: Surroundings) -> Bool {
        guard case .ifPermitted = surroundings.reservedPort else { return false }
        return PortProbe.attempt(ListenAddress(port: Int.random(in: 665...1023)), .tcp) != EACCES
    }
}
