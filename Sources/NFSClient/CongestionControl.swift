import Glibc
public import NIOCore

/// TCP congestion control, which NIO does not name.
public enum CongestionControl {
    /// Asks for a congestion control by name (TCP_CONGESTION, tcp(7)); a system that does not have it
    /// keeps its own. `bbr`, a common default, halves the speed of 1 MiB transfers over loopback.
    public static func set(_ name: String, of channel: any Channel) {
        guard name.utf8.count < 16, let provider = channel as? any SocketOptionProvider else {
            return
        }
        // The kernel takes up to TCP_CA_NAME_MAX (16) bytes and ends the name at a NUL.
        var bytes: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &bytes) { $0.copyBytes(from: name.utf8) }
        // The result does not matter: the option is a preference.
        _ = provider.unsafeSetSocketOption(
            level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_CONGESTION), value: bytes)
    }
}
