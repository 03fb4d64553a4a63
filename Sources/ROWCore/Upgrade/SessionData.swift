import Glibc
import SystemPackage

/// Reads what a session's files show, with nobody serving it.
final class SessionData {
    private let session: SessionTree
    private let shadow: FilePath
    private var open: (layer: LayerID, file: SparseFile)?

    /// Bytes that are read at once.
    private static let pieceMaximum: UInt64 = 256 << 10

    init(_ session: SessionTree, shadow: FilePath) {
        self.session = session
        self.shadow = shadow
    }

    /// A file's bytes in pieces, each of whole blocks but the last.
    static func pieces(of size: UInt64) -> some Sequence<Range<UInt64>> {
        stride(from: 0, to: size, by: UInt64.Stride(pieceMaximum))
            .lazy.map { $0..<min($0 + pieceMaximum, size) }
    }

    /// What a file shows of a range.
    /// - Parameter main: reads bytes of the image's object; nothing for a file that the session made.
    func bytes(
        _ id: NodeID, _ range: Range<UInt64>, main: (Range<UInt64>) async throws -> [UInt8]
    ) async throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        for run in try runs(of: id, in: range) {
            let start = Int(run.range.lowerBound - range.lowerBound)
            let place = start..<(start + run.range.count)
            if let layer = run.layer {
                let file = try self.file(LayerID(node: id, layer: layer))
                try bytes.withUnsafeMutableBytes { buffer in
                    try file.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[place]),
                        at: run.range.lowerBound)
                }
            } else if !id.isSessionMade {
                bytes.replaceSubrange(place, with: try await main(run.range))
            }
        }
        return bytes
    }

    /// The runs of a file that are not zeros.
    func runs(of id: NodeID, in range: Range<UInt64>) throws -> [StoredFile.Run] {
        try session.files[id]?.runs(in: range) ?? [StoredFile.Run(layer: nil, range: range)]
    }

    private func file(_ layer: LayerID) throws -> SparseFile {
        if let open, open.layer == layer { return open.file }
        let path = shadow.appending(layer.fileName)
        do {
            let file = try SparseFile(path: path, flags: O_RDONLY | O_CLOEXEC)
            open = (layer, file)
            return file
        } catch {
            throw StateError(.io, "cannot read \(path): \(error)")
        }
    }
}
