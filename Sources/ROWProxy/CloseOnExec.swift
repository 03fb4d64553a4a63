import Glibc
package import NIOCore
import NIOPosix

extension Channel {
    /// Keeps the socket from programs that this process starts: one that held it would keep the port, or
    /// the connection, when this end closes it.
    package func closeOnExec() throws {
        try pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            _ = fcntl($0, F_SETFD, FD_CLOEXEC)
        }
    }
}
