import ROWCore

/// The maps that plan every READ and WRITE of a changed file.
enum BlockParts {
    static let all = [
        Part(name: "LayerMap singleSource 32K", prepare: singleSource),
        Part(name: "LayerMap zeroFill+wrote 32K", prepare: { { write($0, bytes: transfer) } }),
        Part(name: "LayerMap zeroFill+wrote 1000 B", prepare: { { write($0, bytes: 1000) } }),
        Part(name: "PresenceMap run of 1 block", prepare: shortRuns),
        Part(name: "PresenceMap run of 64K blocks", prepare: longRun),
    ]

    private static let blockSize: UInt64 = 4096
    private static let blockCount: UInt64 = 65536
    private static let fileBytes = blockSize * blockCount
    private static let transfer: UInt64 = 32 << 10

    /// Places in the file that follow one another like those of a random reader.
    private static func scattered(_ index: Int) -> UInt64 {
        UInt64(index) &* 0x9e37_79b9_7f4a_7c15 % (fileBytes / transfer) * transfer
    }

    private static func singleSource() -> (Int) -> UInt64 {
        var map = LayerMap(blockSize: blockSize, mainValid: fileBytes)
        map.wrote(0..<fileBytes)
        return { [map] count in
            var hits: UInt64 = 0
            for index in 0..<count {
                let offset = scattered(index)
                if map.singleSource(of: offset..<(offset + transfer)) == .here { hits += 1 }
            }
            return hits
        }
    }

    /// In order, whole blocks or pieces that do not keep to them; a new file after the end.
    private static func write(_ count: Int, bytes: UInt64) -> UInt64 {
        var map = LayerMap(blockSize: blockSize, mainValid: fileBytes)
        var offset: UInt64 = 0
        var filled: UInt64 = 0
        for _ in 0..<count {
            if offset + bytes > fileBytes {
                map = LayerMap(blockSize: blockSize, mainValid: fileBytes)
                offset = 0
            }
            let range = offset..<(offset + bytes)
            let zeros = map.zeroFill(for: range)
            filled &+= UInt64(zeros.before?.count ?? 0) &+ UInt64(zeros.after?.count ?? 0)
            map.wrote(range)
            offset += bytes
        }
        return filled &+ UInt64(map.storedBlocks)
    }

    /// Every other block present: the worst there is.
    private static func shortRuns() -> (Int) -> UInt64 {
        var map = PresenceMap()
        for block in stride(from: 0, to: blockCount, by: 2) { map.insert(block..<(block + 1)) }
        return { [map] in runs($0, of: map) }
    }

    private static func longRun() -> (Int) -> UInt64 {
        var map = PresenceMap()
        map.insert(0..<blockCount)
        return { [map] in runs($0, of: map) }
    }

    private static func runs(_ count: Int, of map: PresenceMap) -> UInt64 {
        var block: UInt64 = 0
        var present: UInt64 = 0
        for _ in 0..<count {
            let run = map.run(at: block, limit: blockCount)
            if run.isPresent { present &+= run.end - block }
            block = run.end == blockCount ? 0 : run.end
        }
        return present
    }
}
