import Foundation
import ROWTestKit

/// Many small files in three levels of directories, some symbolic links: the same tree every time.
struct WideAreaTree {
    let path: String
    private(set) var directories = 0
    private(set) var files = 0
    private(set) var links = 0

    /// All that `find` prints, the root included.
    var objects: Int { 1 + directories + files + links }

    /// - Parameter files: about so many; of directories there is one for twenty of them.
    init(at path: String, files: Int) throws {
        self.path = path
        var generator = Self.generator
        var places = [""]
        let wanted = max(files / 20, 3)
        // A third each: below the root, below those, and below these.
        for level in 0..<3 {
            let parents = places.filter { $0.split(separator: "/").count == level }
            for number in 0..<wanted / 3 {
                guard let parent = parents.randomElement(using: &generator) else { break }
                let place = "\(parent)/d\(level)-\(number)"
                try FileManager.default.createDirectory(
                    atPath: path + place, withIntermediateDirectories: true)
                places.append(place)
                directories += 1
            }
        }
        for number in 0..<files {
            guard let place = places.randomElement(using: &generator) else { break }
            if number.isMultiple(of: 25) {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(path)\(place)/link\(number)",
                    withDestinationPath: "file\(number + 1)")
                links += 1
                continue
            }
            let size = Self.size(&generator)
            let words = (0..<size / 8 + 1).map { _ in generator.next() }
            let data = words.withUnsafeBytes { Data($0.prefix(size)) }
            try data.write(to: URL(fileURLWithPath: "\(path)\(place)/file\(number)"))
            self.files += 1
        }
    }

    /// Mostly 1 to 8 KiB; some nothing, some up to 64 KiB.
    private static func size(_ generator: inout Seed.Generator) -> Int {
        switch Int.random(in: 0..<20, using: &generator) {
        case 0: 0
        case 1, 2: Int.random(in: 8192...65_536, using: &generator)
        default: Int.random(in: 1024...8192, using: &generator)
        }
    }

    private static var generator: Seed.Generator { Seed(23).makeGenerator() }
}
