import NFSProtocol
import ROWCore
import SystemPackage

/// READ of a range whose bytes lie in several places.
extension NFSService {
    /// Where main's bytes come from.
    private enum MainBytes {
        /// None are wanted.
        case nowhere
        case fetched(Piece)
        case local(SparseFile)
        case cached(CacheFile)
    }

    /// What is not in memory.
    private enum Missing {
        case main
        /// Of the layer that the run is in.
        case layer(SessionState.ReadRun)
    }

    /// What is to be read of one layer's file.
    private struct LayerParts {
        let run: SessionState.ReadRun
        let file: SparseFile
        var parts = ScatteredRead()
    }

    /// Puts a reply together from runs of shadow, main and zeros.
    func assemble(
        _ runs: [SessionState.ReadRun], _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) throws(Interrupt) {
        let fromMain = runs.filter(\.isMain).map(\.range)
        for range in fromMain { touched(read.id, range, by: read.session) }
        if let recorder = recorder(of: read.session) {
            for range in fromMain { recorder.read(read.id, range) }
        }
        guard let main = try mainBytes(fromMain, read) else {
            fetchMain(Self.hull(of: fromMain), read)
            return
        }
        if runs.contains(where: \.isInFile) { read.session.countShadowRead() }
        var failure: Errno?
        var missing: Missing?
        let isDone = reply(read, plan) { memory in
            do throws(Errno) {
                missing = try fill(memory, from: plan.range.lowerBound, runs, main, read.have)
                return missing == nil
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw .status(NFS3.Status(failure)) }
        if isDone { count(main, fromMain) }
        switch missing {
        case .main: fetchMain(Self.hull(of: fromMain), read)
        case .layer(let missing): fetchLayer(of: missing, runs, read)
        case nil: break
        }
    }

    /// - Returns: nil when they must be fetched.
    private func mainBytes(
        _ ranges: [Range<UInt64>], _ read: ReadCall
    ) throws(Interrupt) -> MainBytes? {
        guard let first = ranges.first else { return .nowhere }
        if let piece = read.have.main, piece.covers(Self.hull(of: ranges)) {
            return .fetched(piece)
        }
        if let file = try main.localFile(read.id) { return .local(file) }
        guard let file = main.checkedFile(read.id, first),
            ranges.dropFirst().allSatisfy({ main.checkedFile(read.id, $0) === file })
        else { return nil }
        return .cached(file)
    }

    private func count(_ main: MainBytes, _ ranges: [Range<UInt64>]) {
        switch main {
        case .nowhere, .fetched: break
        case .local: for range in ranges { self.main.countRead(range) }
        case .cached(let file): for range in ranges { self.main.countHit(file, range) }
        }
    }

    /// Fills `memory`, which stands for the file's bytes from `start` on.
    /// - Returns: what cannot be had without waiting; nil when all is there.
    private func fill(
        _ memory: UnsafeMutableRawBufferPointer, from start: UInt64,
        _ runs: [SessionState.ReadRun], _ main: MainBytes, _ have: Fetched
    ) throws(Errno) -> Missing? {
        var mainParts = ScatteredRead()
        var layers: [LayerParts] = []
        for run in runs {
            let place = Int(run.range.lowerBound - start)..<Int(run.range.upperBound - start)
            let target = UnsafeMutableRawBufferPointer(rebasing: memory[place])
            switch run.source {
            case .zeros: target.initializeMemory(as: UInt8.self, repeating: 0)
            case .main:
                if case .fetched(let piece) = main {
                    piece.copy(run.range, to: target)
                } else {
                    mainParts.append(target, at: run.range.lowerBound)
                }
            case .shadow(let file, let layer):
                if let piece = have.shadow[layer], piece.covers(run.range) {
                    piece.copy(run.range, to: target)
                    continue
                }
                let index = layers.firstIndex { $0.file === file } ?? layers.count
                if index == layers.count { layers.append(LayerParts(run: run, file: file)) }
                layers[index].parts.append(target, at: run.range.lowerBound)
            case .remote(let file):
                guard let piece = have.shadow[file.layer], piece.covers(run.range) else {
                    return .layer(run)
                }
                piece.copy(run.range, to: target)
            }
        }
        for layer in layers {
            if try layer.parts.readNowait(layer.file) == .wouldBlock { return .layer(layer.run) }
        }
        return try read(mainParts, main) ? nil : .main
    }

    /// - Returns: false when they are not to be had without waiting.
    private func read(_ parts: ScatteredRead, _ main: MainBytes) throws(Errno) -> Bool {
        switch main {
        case .nowhere, .fetched: return true
        case .local(let file): return try parts.readNowait(file) != .wouldBlock
        case .cached(let file):
            switch try? file.readNowait(parts) {
            case .bytes: return true
            case .lost:
                self.main.cache?.lost(file)
                return false
            case .wouldBlock, nil: return false
            }
        }
    }

    /// Gets what the page cache does not hold of a layer, or the shadow server has.
    private func fetchLayer(
        of missing: SessionState.ReadRun, _ runs: [SessionState.ReadRun], _ read: ReadCall
    ) {
        let parts = runs.filter { $0.layer == missing.layer }.map(\.range)
        switch missing.source {
        case .shadow(let file, let layer): fetch(parts, of: file, layer, read)
        case .remote(let file): fetch(parts, of: file, read)
        case .main, .zeros: break
        }
    }

    /// From the first to the last byte of ranges that are in order.
    static func hull(of ranges: [Range<UInt64>]) -> Range<UInt64> {
        (ranges.first?.lowerBound ?? 0)..<(ranges.last?.upperBound ?? 0)
    }
}

extension SessionState.ReadRun {
    fileprivate var isMain: Bool { if case .main = source { true } else { false } }
    fileprivate var isInFile: Bool { if case .shadow = source { true } else { false } }
    fileprivate var layer: Int64? {
        switch source {
        case .shadow(_, let layer): layer
        case .remote(let file): file.layer
        case .main, .zeros: nil
        }
    }
}
