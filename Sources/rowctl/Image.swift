import ArgumentParser
import Console
import Foundation
import Glibc
import ROWCore
import SystemPackage

struct ImageVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image",
        abstract: "Seal a tree as an image, and check it.",
        discussion: """
            A sealed tree has a manifest in its directory .rowfs: all names and attributes, and a SHA-256 \
            of each block of 64 KiB. It is exported with the tree by any NFS server. A proxy that knows \
            it asks the server for data alone, and can check all that it gets. docs/MANIFEST.md tells more.
            """,
        subcommands: [ImageSealVerb.self, ImageVerifyVerb.self, ImageShowVerb.self])
}

/// Which tree; the verbs for images take it.
struct TreeOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The tree's root, on this machine.", valueName: "directory"))
    var directory: String

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    var path: FilePath { FilePath(directory) }
}

struct ImageSealVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Write the manifest of a tree into it.",
        discussion: """
            Nothing may write to the tree meanwhile: a file that changes is an error, and the manifest \
            before stays. Symbolic links are not followed, and a mount point in the tree is an error.

            Files that an earlier manifest has with the same path, size and time of modification are not \
            read again; --rehash reads all. The root hash names the image, byte for byte; it is the same \
            for the same tree on any machine.
            """)

    @OptionGroup var tree: TreeOptions

    @Option(
        help: ArgumentHelp(
            "Take hashes of unchanged files over from another manifest than the tree's own.",
            discussion: "A sealed tree, or a manifest.sqlite with its manifest.sums beside it.",
            valueName: "file or directory"))
    var from: String?

    @Flag(help: "Read all files, whatever an earlier manifest says.")
    var rehash = false

    func validate() throws {
        if rehash, from != nil {
            throw ValidationError("--rehash takes nothing over, so --from has no meaning with it")
        }
    }

    func run() throws {
        let meter = ProgressMeter()
        let earlier: ImageSeal.Earlier =
            rehash ? .none : from.map { .at(FilePath($0)) } ?? .own
        let report = try ImageSeal.run(tree.path, from: earlier) { meter.show(ProgressState($0)) }
        meter.end()
        if let note = report.note {
            FileHandle.standardError.write(Data("rowctl: \(note.printable)\n".utf8))
        }
        if tree.json { return print(try jsonText(report)) }
        print(
            "sealed \(report.files) files, \(byteText(Int(report.bytes))) "
                + "(\(byteText(Int(report.bytesRead))) read), \(report.chunks) chunks; "
                + "manifest \(byteText(Int(report.manifestBytes))), "
                + "\(String(format: "%.1f", report.seconds)) s; root hash \(report.rootHash)")
    }
}

struct ImageVerifyVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read a tree and compare it with its manifest.",
        discussion: """
            Tells one line for each difference. Needs room for another manifest in the directory that \
            TMPDIR names. Exit codes: 0 the tree is as it was sealed, 1 it is not, or could not be read.
            """)

    @OptionGroup var tree: TreeOptions

    private struct Result: Codable {
        var rootHash: String
        var files: UInt64
        var bytes: UInt64
        var differences: [TreeDifference]
    }

    func run() throws {
        let meter = ProgressMeter()
        let isJSON = tree.json
        var differences: [TreeDifference] = []
        var count = 0
        let manifest = try ImageVerification.run(
            tree.path, temporary: FilePath(NSTemporaryDirectory()),
            progress: { meter.show(ProgressState($0)) }
        ) { difference in
            meter.end()
            count += 1
            if isJSON {
                differences.append(difference)
            } else {
                print("\(difference)".printable)
            }
        }
        meter.end()
        let facts = manifest.reader.facts
        if isJSON {
            print(
                try jsonText(
                    Result(
                        rootHash: manifest.sums.rootHash.description, files: facts.files,
                        bytes: facts.bytes, differences: differences)))
        } else {
            print(
                "\(facts.files) files, \(byteText(Int(facts.bytes))): "
                    + (count == 0 ? "as they were sealed" : "\(count) differences"))
        }
        if count > 0 { throw ExitCode.failure }
    }
}

struct ImageShowVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Tell what the manifest of a tree says, and its root hash.",
        discussion: "Reads the manifest and checks it against its sums; the tree is not looked at.")

    @OptionGroup var tree: TreeOptions

    private struct Result: Codable {
        var rootHash: String
        var tree: String
        var manifestBytes: Int
        var nodes: UInt64
        var files: UInt64
        var bytes: UInt64
        var chunks: UInt64
    }

    func run() throws {
        let manifest = try ManifestFiles(tree.path)
        let facts = manifest.reader.facts
        let result = Result(
            rootHash: manifest.sums.rootHash.description, tree: manifest.reader.tree.description,
            manifestBytes: manifest.sums.size, nodes: facts.nodes, files: facts.files,
            bytes: facts.bytes, chunks: facts.chunks)
        if self.tree.json { return print(try jsonText(result)) }
        print(
            """
            root hash  \(result.rootHash)
            content    \(result.tree)
            objects    \(result.nodes), of them \(result.files) files
            data       \(byteText(Int(result.bytes))) in \(result.chunks) chunks
            manifest   \(byteText(result.manifestBytes))
            """)
    }
}

extension ProgressState {
    fileprivate init(_ progress: ImageSeal.Progress) {
        self.init(
            done: progress.bytes, total: progress.bytesTotal,
            details: "\(progress.names) names, \(progress.files) files, "
                + byteText(Int(progress.bytes)))
    }
}
