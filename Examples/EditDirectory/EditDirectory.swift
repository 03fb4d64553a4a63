import NFSProtocol
import ROWCore
import SystemPackage

/// Changes a file of a directory in a session, and shows what was changed: the directory stays as it is.
///
///     swift run example-directory DIRECTORY FILE STATE
@main struct EditDirectory {
    static func main() async throws {
        guard CommandLine.arguments.count == 4 else {
            fatalError("usage: example-directory DIRECTORY FILE STATE")
        }
        let file = FilePath(CommandLine.arguments[2])

        let image = try await Image.open(
            DirectorySource(FilePath(CommandLine.arguments[1])),
            state: StateLayout(FilePath(CommandLine.arguments[3])))
        let session = try await image.openSession("example")

        let size = try await session.attributes(file).size
        try await session.write("changed in a session\n".utf8, to: file, at: size)
        print(String(decoding: try await session.readAll(file), as: UTF8.self), terminator: "")
        for change in try await session.diff() { print(change) }

        // Closes the session too, which goes on from here the next time.
        try await image.close()
    }
}
