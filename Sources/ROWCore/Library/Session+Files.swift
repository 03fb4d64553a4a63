public import NFSProtocol
public import SystemPackage

/// File data.
extension Session {
    /// Reads data of a regular file (READ, RFC 1813 §3.3.6).
    /// - Parameter offset: bytes from the start.
    /// - Parameter count: bytes wanted.
    /// - Returns: `count` bytes, fewer only at the end of the file.
    public func read(
        _ path: FilePath, at offset: UInt64, count: Int
    ) async throws(ROWError) -> [UInt8] {
        try await readPart(path, offset, count).bytes
    }

    /// Reads a whole regular file. It is read in pieces: what is changed meanwhile may show in part.
    public func readAll(_ path: FilePath) async throws(ROWError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let (part, isLast) = try await readPart(
                path, UInt64(bytes.count), NFS3.transferSizeMaximum)
            bytes += part
            if isLast { return bytes }
        }
    }

    /// Writes data into a regular file (WRITE, RFC 1813 §3.3.7), which grows when it must. Nothing is
    /// read from the image for that.
    /// - Parameter offset: bytes from the start.
    /// - Parameter stable: `.unstable` returns before the data is durable; ``sync()`` makes it so.
    public func write(
        _ data: some Collection<UInt8> & Sendable, to path: FilePath, at offset: UInt64,
        stable: NFS3.Stability = .fileSync
    ) async throws(ROWError) {
        let data = Array(data)
        try await run(path) { state throws(Interrupt) in
            let id = try find(path.names, state)
            try data.withBytes { bytes throws(Interrupt) in
                _ = try state.write(
                    id, offset: offset, data: bytes, stable: stable, options.credential)
            }
        }
        if stable == .unstable {
            try await syncWhenManyAreUnstable()
        } else {
            try await commit(path)
        }
    }

    /// Plans, gets what must come from the image, and plans again until nothing is missing: the file
    /// may have been changed meanwhile. What shows of the image only ever shrinks, so that ends.
    private func readPart(
        _ path: FilePath, _ offset: UInt64, _ count: Int
    ) async throws(ROWError) -> (bytes: [UInt8], isLast: Bool) {
        var pieces = ImagePieces()
        while true {
            let read = try await run(path) { state throws(Interrupt) in
                let id = try find(path.names, state)
                let plan = try state.planRead(
                    id, offset: offset, count: count, options.credential)
                return try pieces.assemble(plan, of: id, state)
            }
            switch read {
            case .done(let bytes, let isLast): return (bytes, isLast)
            case .missing(let id, let range):
                pieces.add(try await image.read(id, range), of: id, at: range)
            }
        }
    }
}

/// What has come from the image for one read, and how the answer is put together.
private struct ImagePieces {
    enum Outcome {
        case done([UInt8], isLast: Bool)
        case missing(NodeID, Range<UInt64>)
    }

    private var file: NodeID?
    private var pieces: [(range: Range<UInt64>, bytes: [UInt8])] = []

    mutating func add(_ bytes: [UInt8], of file: NodeID, at range: Range<UInt64>) {
        // The path may name another file by now.
        if self.file != file { pieces = [] }
        self.file = file
        pieces.append((range, bytes))
    }

    func assemble(
        _ plan: SessionState.ReadPlan, of id: NodeID, _ state: SessionState
    ) throws(Interrupt) -> Outcome {
        var bytes = [UInt8](repeating: 0, count: plan.range.count)
        func place(_ range: Range<UInt64>) -> Range<Int> {
            let start = Int(range.lowerBound - plan.range.lowerBound)
            return start..<(start + range.count)
        }
        for run in plan.source.runs(of: plan.range) {
            switch run.source {
            case .zeros: break
            // This opens no session whose data is at a server.
            case .remote: throw .status(.serverFault)
            case .main:
                guard let piece = pieces.first(where: { contains($0.range, run.range) }),
                    file == id
                else { return .missing(id, run.range) }
                let start = Int(run.range.lowerBound - piece.range.lowerBound)
                bytes.replaceSubrange(
                    place(run.range), with: piece.bytes[start..<(start + run.range.count)])
            case .shadow(let shadow, _):
                do throws(Errno) {
                    try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
                        try shadow.read(
                            into: UnsafeMutableRawBufferPointer(
                                UnsafeMutableBufferPointer(rebasing: buffer[place(run.range)])),
                            at: run.range.lowerBound)
                    }
                } catch {
                    state.onEvent("reading the shadow of \(id) failed: \(error)")
                    throw .status(NFS3.Status(ofShadow: error))
                }
                state.countShadowRead()
            }
        }
        return .done(bytes, isLast: plan.eof)
    }

    private func contains(_ outer: Range<UInt64>, _ inner: Range<UInt64>) -> Bool {
        outer.lowerBound <= inner.lowerBound && inner.upperBound <= outer.upperBound
    }
}

extension SessionState.ReadSource {
    /// The same as runs.
    fileprivate func runs(
        of range: Range<UInt64>
    ) -> [(source: SessionState.ByteSource, range: Range<UInt64>)] {
        switch self {
        case .nothing: []
        case .one(let source): [(source, range)]
        case .mixed(let read): read.runs.map { (read.sources[$0.source], $0.range) }
        }
    }
}
