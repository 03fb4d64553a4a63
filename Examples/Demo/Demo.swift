import Foundation
import NFSClient
import ROWTestKit

/// A session over a local directory, seen by an NFS client: every step is checked against what a
/// plain copy of the directory would hold, and the directory itself must not change.
@main
struct Demo {
    static func main() async {
        do {
            try await run()
        } catch {
            print("demo: \(error)")
            exit(1)
        }
    }

    private static func run() async throws {
        let folder = try TemporaryDirectory("rowfs-demo")
        var expected = Files.golden
        let image = try expected.write(to: try folder.directory("image"))
        let before = try TreeHash(of: image, modificationTimes: true)
        print("An image: \(expected.byPath.count) files, the largest of 64 MiB, in \(image)")

        let state = folder.path("state")
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "demo", "--state", state,
        ])
        print("serve      rowctl serve \(image) --session demo")
        let client = try await NFSClient.connect(try NFSURL(proxy.export.url))
        let tree = RemoteTree(client: client)
        print("mount      \(proxy.export.url)")

        try await changes(tree, &expected)
        let changed = try await SessionStatus.read(session: "demo", state: state).bytes
        print("           so far: \(size(changed.fromMain)) fetched from the image,")
        print("           \(size(changed.shadowStored)) stored for the session")
        try check(await tree.files(), expected)
        print("read back  every file and name is what a plain copy would have")
        let all = try await SessionStatus.read(session: "demo", state: state).bytes
        print("           in all: \(size(all.fromMain)) fetched from the image,")
        print("           \(size(all.shadowStored)) stored for the session")

        try await proxy.terminate()
        print("stop       the proxy is gone")
        try await proxy.restart()
        print("serve      the same command again; the client goes on where it was")
        try check(await tree.files(), expected)
        print("read back  all changes are still there")
        await client.close()
        try await proxy.terminate()

        let differences = before.differences(
            from: try TreeHash(of: image, modificationTimes: true))
        guard differences.isEmpty else { throw DemoFailure("the image changed: \(differences)") }
        print("image      unchanged: names, modes, times and contents hash as before")
    }

    private static func changes(_ tree: RemoteTree, _ expected: inout Files) async throws {
        let welcome = try await tree.read("docs/welcome.txt")
        guard welcome == expected["docs/welcome.txt"] else {
            throw DemoFailure("docs/welcome.txt reads differently")
        }
        print("read       docs/welcome.txt: \(String(decoding: welcome.dropLast(), as: UTF8.self))")

        let block = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
        let middle = 32 << 20
        try await tree.write(block, to: "disk.img", at: middle)
        expected["disk.img"]?.replaceSubrange(middle..<(middle + block.count), with: block)
        print("overwrite  4 KiB in the middle of disk.img")

        let line = Array("and one line more\n".utf8)
        try await tree.write(line, to: "notes.txt", at: expected["notes.txt"]?.count ?? 0)
        expected["notes.txt"]?.append(contentsOf: line)
        print("append     a line to notes.txt")

        try await tree.rename("notes.txt", to: "ideas.txt")
        expected.rename("notes.txt", to: "ideas.txt")
        print("rename     notes.txt to ideas.txt")

        try await tree.rename("docs", to: "manual")
        expected.rename("docs", to: "manual")
        print("rename     the directory docs to manual")

        try await tree.remove("old.log")
        expected["old.log"] = nil
        print("remove     old.log")

        let report = Array("made in the session\n".utf8)
        try await tree.create("manual/report.txt")
        try await tree.write(report, to: "manual/report.txt", at: 0)
        expected["manual/report.txt"] = report
        print("create     manual/report.txt")
    }

    private static func check(_ found: Files, _ expected: Files) throws {
        let paths = Set(found.byPath.keys).union(expected.byPath.keys)
        let wrong = paths.filter { found[$0] != expected[$0] }.sorted()
        guard wrong.isEmpty else {
            throw DemoFailure("not as expected: \(wrong.joined(separator: ", "))")
        }
    }

    private static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<4096: "\(bytes) bytes"
        case ..<(4 << 20): "\(bytes >> 10) KiB"
        default: "\(bytes >> 20) MiB"
        }
    }
}

/// A step did not do what it should have done.
struct DemoFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
