import NFSProtocol
import SystemPackage

/// Makes a whole file of the session's own out of what the session shows of one of the old image: in pieces,
/// without blocks that are all zeros.
struct WholeCopy {
    let id: NodeID
    let layer: LayerID
    let size: UInt64
    let shadow: FilePath
    let blockSize: UInt64
    let isDurable: Bool

    /// - Returns: the rows of what was copied.
    func make(
        _ data: SessionData, _ old: OldImage
    ) async throws -> [(table: SessionTable, row: [Cell])] {
        let path = shadow.appending(layer.fileName)
        var map = LayerMap(blockSize: blockSize, mainValid: 0)
        var allocated: UInt64 = 0
        do {
            let file = try SparseFile(path: path, create: true)
            for piece in SessionData.pieces(of: size) {
                guard try !data.runs(of: id, in: piece).isEmpty else { continue }
                let bytes = try await data.bytes(id, piece) { range in
                    try await old.data(id, range)
                }
                try write(bytes, at: piece.lowerBound, to: file, &map)
            }
            if isDurable { try file.sync() }
            allocated = try file.allocatedBytes
        } catch let error as Errno {
            throw StateError(.io, "cannot write \(path): \(error)")
        }
        return rows(map, allocated)
    }

    private func write(
        _ bytes: [UInt8], at offset: UInt64, to file: SparseFile, _ map: inout LayerMap
    ) throws(Errno) {
        var start = 0
        while start < bytes.count {
            var end = start
            // Neighbouring blocks with data are written at once.
            while end < bytes.count, !isZero(bytes, end) {
                end = min(end + Int(blockSize), bytes.count)
            }
            if end > start {
                let range = offset + UInt64(start)..<offset + UInt64(end)
                try bytes.withUnsafeBufferPointer { buffer throws(Errno) in
                    try file.write(
                        UnsafeRawBufferPointer(
                            UnsafeBufferPointer(rebasing: buffer[start..<end])),
                        at: range.lowerBound, zeros: map.zeroFill(for: range))
                }
                map.wrote(range)
            }
            start = min(end + Int(blockSize), bytes.count)
        }
    }

    /// Whether the block that begins here has nothing but zeros.
    private func isZero(_ bytes: [UInt8], _ start: Int) -> Bool {
        bytes[start..<min(start + Int(blockSize), bytes.count)].allSatisfy { $0 == 0 }
    }

    private func rows(_ map: LayerMap, _ allocated: UInt64) -> [(table: SessionTable, row: [Cell])]
    {
        var map = map
        let blocks = Int64(map.storedBlocks)
        let changes = map.takeChanges()
        let key: [Cell] = [.integer(layer.node.row), .integer(layer.layer)]
        var rows: [(table: SessionTable, row: [Cell])] = [
            (
                .content,
                key + [
                    .integer(0), .integer(blocks), .integer(Int64(clamping: allocated)),
                ]
            )
        ]
        for page in changes.pages where !page.words.isEmpty {
            rows.append(
                (.presence, key + [.integer(Int64(clamping: page.index)), .blob(page.blob)]))
        }
        for (block, blob) in changes.partial {
            guard let blob else { continue }
            rows.append((.partial, key + [.integer(Int64(clamping: block)), .blob(blob)]))
        }
        return rows
    }
}
