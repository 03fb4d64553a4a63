import NFSClient
import NFSProtocol
import ROWCore
import ROWRemote
import SystemPackage

/// Changes a file of an NFS export in a session, and shows what was changed: the server is only read.
///
///     swift run example-nfs nfs://HOST[:PORT]/EXPORT[?mountport=N] FILE STATE
@main struct EditRemote {
    static func main() async throws {
        guard CommandLine.arguments.count == 4 else {
            fatalError("usage: example-nfs nfs://HOST[:PORT]/EXPORT[?mountport=N] FILE STATE")
        }
        let file = FilePath(CommandLine.arguments[2])

        let image = try await Image.open(
            NFSImageSource(NFSURL(CommandLine.arguments[1])),
            state: StateLayout(FilePath(CommandLine.arguments[3])))
        let session = try await image.openSession("example")

        let size = try await session.attributes(file).size
        try await session.write("changed in a session\n".utf8, to: file, at: size)
        print(String(decoding: try await session.readAll(file), as: UTF8.self), terminator: "")
        for change in try await session.diff() { print(change) }

        // Closes the session and the connection; the session goes on from here the next time.
        try await image.close()
    }
}
