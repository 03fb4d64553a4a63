import NFSProtocol
import ROWCore
import SystemPackage

/// READ of a range whose bytes lie in several places.
extension NFSService {
    /// Puts a reply together from runs of shadow, main and zeros.
    func assemble(
        _ mixed: SessionState.MixedRead, _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) throws(Interrupt) {
        noteMain(of: mixed, read)
        guard let main = try mainBytes(mixed, read) else {
            return fetchMain(mixed.hull(of: mixed.main), read)
        }
        if mixed.isInShadow { read.session.countShadowRead() }
        var failure: Errno?
        var missing: Int?
        let isDone = reply(read, plan) { memory in
            let assembly = Assembly(
                memory: memory, start: plan.range.lowerBound, read: mixed, main: main,
                have: read.have)
            do throws(Errno) {
                missing = try assembly.fill(lost: { self.main.cache?.lost($0) })
                return missing == nil
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw .status(NFS3.Status(failure)) }
        if isDone { count(main, mixed) }
        if let missing { fetch(missing, of: mixed, read) }
    }

    /// Keeps in mind what the session has asked for of main.
    private func noteMain(of mixed: SessionState.MixedRead, _ read: ReadCall) {
        guard let session = sessions[tag: read.session.handles.tag] else { return }
        mixed.forEachRun(of: mixed.main) { range in
            session.history.touch(range, of: read.id, in: main.image)
            session.recorder?.read(read.id, range)
        }
    }

    /// - Returns: nil when they must be fetched.
    private func mainBytes(
        _ mixed: SessionState.MixedRead, _ read: ReadCall
    ) throws(Interrupt) -> Assembly.MainBytes? {
        guard mixed.main != nil else { return .nowhere }
        let hull = mixed.hull(of: mixed.main)
        if let piece = read.have.main, piece.covers(hull) { return .fetched(piece) }
        if let file = try main.localFile(read.id) { return .local(file) }
        if let file = main.checkedFile(read.id, hull) { return .cached(file) }
        // The session's own may lie between those that are wanted.
        var file: CacheFile?
        var isAbsent = false
        mixed.forEachRun(of: mixed.main) { range in
            guard !isAbsent else { return }
            let found = main.checkedFile(read.id, range)
            isAbsent = found == nil || file != nil && found !== file
            file = found
        }
        return isAbsent ? nil : file.map { .cached($0) }
    }

    private func count(_ main: Assembly.MainBytes, _ mixed: SessionState.MixedRead) {
        mixed.forEachRun(of: mixed.main) { range in
            switch main {
            case .nowhere, .fetched: break
            case .local: self.main.countRead(range)
            case .cached(let file): self.main.countHit(file, range)
            }
        }
    }

    /// Gets what the page cache does not hold of a source, or the shadow server has.
    private func fetch(_ source: Int, of mixed: SessionState.MixedRead, _ read: ReadCall) {
        var parts: [Range<UInt64>] = []
        mixed.forEachRun(of: source) { parts.append($0) }
        switch mixed.sources[source] {
        case .shadow(let file, let layer): fetch(parts, of: file, layer, read)
        case .remote(let file): fetch(parts, of: file, read)
        case .main: fetchMain(mixed.hull(of: source), read)
        case .zeros: break
        }
    }

    /// From the first to the last byte of ranges that are in order.
    static func hull(of ranges: [Range<UInt64>]) -> Range<UInt64> {
        (ranges.first?.lowerBound ?? 0)..<(ranges.last?.upperBound ?? 0)
    }
}

/// Fills the memory of a reply from several places.
private struct Assembly {
    /// Where main's bytes come from.
    enum MainBytes {
        /// None are wanted.
        case nowhere
        case fetched(NFSService.Piece)
        case local(SparseFile)
        case cached(CacheFile)
    }

    let memory: UnsafeMutableRawBufferPointer
    /// The file's byte that the memory begins with.
    let start: UInt64
    let read: SessionState.MixedRead
    let main: MainBytes
    let have: NFSService.Fetched

    /// - Parameter lost: hears of a cache file that has been cut short.
    /// - Returns: the source that cannot be had without waiting; nil when all is there.
    func fill(lost: (CacheFile) -> Void) throws(Errno) -> Int? {
        // What is read first may come with what lies between its runs: the others go over that.
        let first = read.main ?? read.sources.firstIndex(where: \.isInFile)
        if let first, try !fill(from: first, .inPlace, lost) { return first }
        for source in read.sources.indices where source != first {
            if try !fill(from: source, .dropped, lost) { return source }
        }
        return nil
    }

    /// - Returns: false when the source's bytes are not to be had without waiting.
    private func fill(
        from source: Int, _ gaps: ScatteredRead.Gaps, _ lost: (CacheFile) -> Void
    ) throws(Errno) -> Bool {
        switch read.sources[source] {
        case .zeros:
            read.forEachRun(of: source) { range in
                place(of: range).initializeMemory(as: UInt8.self, repeating: 0)
            }
            return true
        case .shadow(let file, let layer):
            if copy(source, from: have.shadow[layer]) { return true }
            return try parts(of: source).readNowait(file, gaps: gaps) != .wouldBlock
        case .remote(let file): return copy(source, from: have.shadow[file.layer])
        case .main:
            switch main {
            case .nowhere: return true
            case .fetched(let piece): return copy(source, from: piece)
            case .local(let file):
                return try parts(of: source).readNowait(file, gaps: gaps) != .wouldBlock
            case .cached(let file):
                let outcome = try? file.readNowait(parts(of: source), gaps: gaps)
                if outcome == .lost { lost(file) }
                return outcome == .bytes
            }
        }
    }

    /// - Returns: whether the piece has all of the source's runs.
    private func copy(_ source: Int, from piece: NFSService.Piece?) -> Bool {
        guard let piece else { return false }
        var isComplete = true
        read.forEachRun(of: source) { range in
            guard isComplete, piece.covers(range) else { return isComplete = false }
            piece.copy(range, to: place(of: range))
        }
        return isComplete
    }

    private func parts(of source: Int) -> ScatteredRead {
        var parts = ScatteredRead(reserving: read.runs.count)
        read.forEachRun(of: source) { parts.append(place(of: $0), at: $0.lowerBound) }
        return parts
    }

    private func place(of range: Range<UInt64>) -> UnsafeMutableRawBufferPointer {
        let from = Int(range.lowerBound - start)
        return UnsafeMutableRawBufferPointer(
            rebasing: memory[from..<(from + range.count)])
    }
}

extension SessionState.MixedRead {
    fileprivate func forEachRun(of source: Int?, _ body: (Range<UInt64>) -> Void) {
        for run in runs where run.source == source { body(run.range) }
    }

    /// From a source's first to its last byte; empty when it has none.
    fileprivate func hull(of source: Int?) -> Range<UInt64> {
        var hull: Range<UInt64>?
        forEachRun(of: source) { hull = (hull?.lowerBound ?? $0.lowerBound)..<$0.upperBound }
        return hull ?? 0..<0
    }

    fileprivate var isInShadow: Bool { sources.contains(where: \.isInFile) }
}

extension SessionState.ByteSource {
    /// In a sparse file of the shadow.
    fileprivate var isInFile: Bool { if case .shadow = self { true } else { false } }
}
