import ArgumentParser
import Foundation

@main
struct Rowctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rowctl",
        abstract: "Private, writable views of a read-only image, for any NFSv3 client.",
        discussion: """
            A session is one client's private changes on an image. The image, a local directory or \
            the export of an NFS server, is never written to: only the blocks that a client reads \
            are fetched, only the blocks that it changes are stored.
            """,
        version: "0.1.0",
        subcommands: [Serve.self, Export.self, StatSession.self, List.self])
}
