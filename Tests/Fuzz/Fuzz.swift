import Foundation

/// Feeds a parser, or all of a server, with bytes that libFuzzer makes up.
///
///     Fuzz TARGET [-OPTION=VALUE]... CORPUS...     # libFuzzer's options and directories
///     Fuzz TARGET --seeds DIRECTORY                # writes inputs to begin with
///     Fuzz --list                                  # the targets
enum Fuzz {
    private static let targets: [(name: String, make: @Sendable () throws -> any FuzzTarget)] = [
        ("records", { RecordsTarget() }), ("headers", { HeadersTarget() }),
        ("arguments", { CodecTarget(Codecs.arguments) }),
        ("results", { CodecTarget(Codecs.results) }),
        ("mount", { CodecTarget(Codecs.mount) }), ("portmap", { PortmapTarget() }),
        ("manifest", { try ManifestTarget() }), ("catalogue", { try CatalogueTarget() }),
        ("control", { try ControlTarget() }), ("settings", { SettingsTarget() }),
        ("session", { try SessionTarget() }), ("server", { try ServerTarget() }),
    ]

    /// Takes the words that are ours from the command line, and leaves libFuzzer the rest.
    fileprivate static func begin(_ words: inout [String]) throws {
        if words.dropFirst() == ["--list"] {
            for target in targets { print(target.name) }
            exit(EXIT_SUCCESS)
        }
        guard words.count > 1, let chosen = targets.first(where: { $0.name == words[1] }) else {
            throw Usage(targets: targets.map(\.name))
        }
        let target = try chosen.make()
        words.remove(at: 1)
        if words.count == 3, words[1] == "--seeds" {
            try write(target.seeds(), to: URL(filePath: words[2]))
            exit(EXIT_SUCCESS)
        }
        running = target
    }

    /// libFuzzer calls from one thread.
    nonisolated(unsafe) fileprivate static var running: (any FuzzTarget)?

    private struct Usage: Error, CustomStringConvertible {
        let targets: [String]
        var description: String {
            "usage: Fuzz TARGET [libFuzzer's arguments], with one of \(targets)"
        }
    }

    private static func write(_ seeds: [[UInt8]], to directory: URL) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for (index, seed) in seeds.enumerated() {
            try Data(seed).write(to: directory.appending(path: "seed-\(index)"))
        }
    }
}

/// Called by libFuzzer's `main` before anything else.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> Int32 {
    var words = (0..<Int(count.pointee)).compactMap { index in
        arguments.pointee[index].map { String(cString: $0) }
    }
    do {
        try Fuzz.begin(&words)
    } catch {
        FileHandle.standardError.write(Data("Fuzz: \(error)\n".utf8))
        exit(EX_USAGE)
    }
    for (index, word) in words.enumerated() { arguments.pointee[index] = strdup(word) }
    arguments.pointee[words.count] = nil
    count.pointee = Int32(words.count)
    return 0
}

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    Fuzz.running?.take([UInt8](UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}
