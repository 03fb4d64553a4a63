import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// Random clients at once over a long line: whatever answers first, the tree is the one that main has,
/// and main is asked for nothing twice.
@Suite struct NamesAheadModelTests {
    /// A random tree, and what each path in it is.
    private struct RandomTree {
        enum Kind: Equatable {
            case file, directory
            case link(String)
        }

        private(set) var kinds: [String: Kind] = ["": .directory]
        let item: SimulatedTree.Item

        init(_ generator: inout Seed.Generator) {
            var kinds = self.kinds
            func make(_ path: String, depth: Int) -> SimulatedTree.Item {
                var items: [(name: String, item: SimulatedTree.Item)] = []
                for number in 0..<Int.random(in: 0...12, using: &generator) {
                    let name = "n\(number)"
                    let place = path + "/" + name
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0...1 where depth < 3:
                        kinds[place] = .directory
                        items.append((name, make(place, depth: depth + 1)))
                    case 2:
                        kinds[place] = .link("to\(number)")
                        items.append((name, .symlink("to\(number)")))
                    default:
                        kinds[place] = .file
                        items.append((name, .file(place)))
                    }
                }
                return .directory(items)
            }
            item = make("", depth: 0)
            self.kinds = kinds
        }

        func names(in directory: String) -> Set<String> {
            Set(
                kinds.keys.filter { path in
                    guard let slash = path.lastIndex(of: "/") else { return false }
                    return path[..<slash] == directory
                }.map { String($0.split(separator: "/").last ?? "") })
        }
    }

    @Test(arguments: [false, true])
    func clientsAtOnceSeeTheTreeAndMainIsAskedForNothingTwice(isCut: Bool) async throws {
        for _ in 0..<(ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil ? 50 : 5) {
            try await run(Seed(), isCut: isCut)
        }
    }

    private func run(_ seed: Seed, isCut: Bool) async throws {
        var generator = seed.makeGenerator()
        let tree = RandomTree(&generator)
        let main = try await SimulatedNFSServer.start(tree.item)
        let line = try await FaultyTransport.start(target: main.port)
        try await line.setLink(roundTrip: .milliseconds(4), bitsPerSecond: nil)
        let export = NFSExport(port: line.port, mountPort: main.port, path: main.export.path)
        let served = try await Served.start(
            .server(try NFSURL(export.url)), in: TemporaryDirectory("rowfs-proxy"))
        let paths = tree.kinds.keys.sorted()
        let cuts = isCut ? 5 : 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                var own = Seed(generator.next()).makeGenerator()
                group.addTask {
                    for _ in 0..<15 {
                        let path = paths.randomElement(using: &own) ?? ""
                        try await look(at: path, in: tree, served, seed)
                    }
                }
            }
            for _ in 0..<cuts {
                try await Task.sleep(for: .milliseconds(7))
                try await line.cut()
            }
            try await group.waitForAll()
        }
        let directories = tree.kinds.values.filter { $0 == .directory }.count
        let links = tree.kinds.count - directories - tree.kinds.values.filter { $0 == .file }.count
        // Of each directory a page; of each name, and of the absent one of each directory, a LOOKUP.
        // Each cut may take away what was under way: that is asked once more.
        let times = 1 + cuts
        #expect(main.distinctCalls(.readdirplus) <= times * directories, "\(seed)")
        #expect(
            main.distinctCalls(.lookup) <= times * (tree.kinds.count + directories), "\(seed)")
        #expect(main.distinctCalls(.readlink) <= times * links, "\(seed)")
        // Whoever looks at all of it again finds all of it here.
        for path in paths { try await look(at: path, in: tree, served, seed) }
        let before = main.distinctCalls(.lookup) + main.distinctCalls(.readdirplus)
        for path in paths { try await look(at: path, in: tree, served, seed) }
        #expect(
            main.distinctCalls(.lookup) + main.distinctCalls(.readdirplus) == before, "\(seed)")
        try await served.stop()
        try await line.stop()
        try await main.stop()
    }

    /// Walks to a path by name and looks at what is there.
    private func look(
        at path: String, in tree: RandomTree, _ served: Served, _ seed: Seed
    ) async throws {
        let handle = try await served.handle(path)
        switch try #require(tree.kinds[path]) {
        case .file:
            #expect(try await served.client.getattr(handle).success.attributes.type == .regular)
        case .link(let target):
            let text = try await served.client.readlink(handle).success.data
            #expect(text == NFS3.Path(Array(target.utf8)), "\(path), \(seed)")
        case .directory:
            let absent = try await served.client.lookup(NFS3.Filename("absent"), in: handle)
            #expect(absent.status == .noent, "\(path), \(seed)")
            var names: [String] = []
            var cookie: UInt64 = 0
            var isComplete = false
            while !isComplete {
                let page = try await served.client.readdirplus(
                    handle, cookie: cookie, dircount: 4096, maxcount: 4096
                ).success
                names += page.entries.map(\.name.description)
                cookie = page.entries.last?.cookie ?? cookie
                isComplete = page.eof
            }
            let found = names.filter { $0 != "." && $0 != ".." }
            #expect(Set(found) == tree.names(in: path), "\(path), \(seed)")
            #expect(Set(found).count == found.count, "\(path), \(seed)")
        }
    }
}
