import Foundation
import NFSProtocol
import SystemPackage

@testable import ROWCore

/// An operation was answered with this status.
struct Refusal: Error, Equatable {
    let status: NFS3.Status

    init(_ status: NFS3.Status) { self.status = status }
}

/// A session on an image as a shell would drive it, without sockets: what an operation needs is
/// fetched and committed, and it is run again until it answers.
final class Engine {
    struct Options {
        var blockSize: UInt64 = 4096
        var isDurable = false
        /// Nodes to keep in memory, and half as many open files; nil for the defaults.
        var limit: Int?
        /// What the logs of the databases may grow to; nil for the default.
        var logBytesMaximum: UInt64?
        var clock: () -> NFS3.Time = NFS3.Time.now
    }

    /// Holds `image` and `session`.
    let directory: String
    var main: any TestMain
    let options: Options
    private(set) var events: [String] = []
    /// Called whenever all that was changed so far has been committed.
    var onCommit: () -> Void = {}
    /// Called whenever something of main has been committed.
    var onFetch: () throws -> Void = {}
    private let queue = WorkQueue()
    private let ownsDirectory: Bool
    private var opened: (image: ImageStore, session: SessionState)?

    /// - Parameter directory: a new one that goes with the engine unless it is given.
    init(
        _ main: any TestMain, directory: String? = nil, _ options: Options = Options()
    ) throws {
        self.main = main
        self.options = options
        ownsDirectory = directory == nil
        self.directory = directory ?? Self.newDirectory()
        try open()
    }

    /// A path that nothing has, without symbolic links: as those who look on at storage must say it.
    static func newDirectory() -> String {
        FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
            + "/rowcore." + UUID().uuidString
    }

    deinit {
        if ownsDirectory { try? FileManager.default.removeItem(atPath: directory) }
    }

    var image: ImageStore {
        guard let opened else { preconditionFailure("closed") }
        return opened.image
    }

    var session: SessionState {
        guard let opened else { preconditionFailure("closed") }
        return opened.session
    }

    var imageDirectory: String { directory + "/image" }
    var sessionDirectory: String { directory + "/session" }

    /// The top layer's file of a node.
    func shadowPath(_ id: NodeID) -> String {
        session.store.shadowPath(LayerID(node: id, layer: session.topLayer)).string
    }

    // MARK: Starting and ending

    func open() throws {
        let image = try ImageStore(
            directory: FilePath(imageDirectory), source: main.source, root: try main.rootEntry(),
            isDurable: options.isDurable, loop: queue.executor)
        let session = try SessionState(
            name: "test", directory: FilePath(sessionDirectory), image: image,
            blockSize: options.blockSize, isDurable: options.isDurable, loop: queue.executor,
            clock: options.clock)
        session.onEvent = { [unowned self] in events.append($0) }
        image.onEvent = { [unowned self] in events.append($0) }
        if let limit = options.limit {
            session.nodes.limit = limit
            session.openFiles.limit = max(limit / 2, 2)
        }
        if let limit = options.logBytesMaximum {
            session.store.writer.logBytesMaximum = limit
            image.writer.logBytesMaximum = limit
        }
        opened = (image, session)
        for path in session.lostPaths {
            try run { session throws(Interrupt) in try session.recover(path) }
        }
        if !session.lostPaths.isEmpty { try session.recovered() }
    }

    /// Ends as a shell does: everything is recorded.
    func close() throws {
        var outcome: NFS3.Status??
        session.flush { outcome = .some($0) }
        queue.run { outcome != nil }
        if case .some(.some(let status)) = outcome { throw Refusal(status) }
        onCommit()
        session.close()
        image.close()
        opened = nil
    }

    /// Ends as a killed process does: what is in memory is lost. Nothing may be in flight.
    func crash() {
        // The writers' threads are done with their last commits, so that nothing holds the locks.
        try? session.store.writer.readNow { _ in }
        try? image.writer.readNow { _ in }
        opened = nil
    }

    func restart() throws {
        try close()
        try open()
    }

    // MARK: Snapshots

    func takeSnapshot(_ tag: String) throws {
        try wait { session, then in session.takeSnapshot(tag, then: then) }
    }

    func rollBack(to tag: String) throws {
        try wait { session, then in session.rollBack(to: tag, then: then) }
    }

    func clone(to name: String, from tag: String? = nil) throws {
        try wait { session, then in
            session.clone(to: FilePath(directory + "/" + name), from: tag, then: then)
        }
    }

    private func wait(
        _ begin: (SessionState, @escaping (StateError?) -> Void) -> Void
    ) throws {
        var outcome: StateError??
        begin(session) { outcome = .some($0) }
        queue.run { outcome != nil }
        if case .some(.some(let error)) = outcome { throw error }
    }

    /// Works on another session of the same image for a while.
    func with(session name: String, _ body: () throws -> Void) throws {
        let kept = opened
        defer { opened = kept }
        let session = try SessionState(
            name: name, directory: FilePath(directory + "/" + name), image: image,
            isDurable: options.isDurable, loop: queue.executor, clock: options.clock)
        opened?.session = session
        defer { session.close() }
        try body()
        try commit()
    }

    // MARK: Operations

    /// Runs an operation until it answers; what it changed is in memory.
    /// - Throws: ``Refusal``.
    func run<T>(_ body: (SessionState) throws(Interrupt) -> T) throws -> T {
        while true {
            do throws(Interrupt) {
                let answer = try body(session)
                session.trim()
                return answer
            } catch {
                switch error {
                case .status(let status): throw Refusal(status)
                case .need(let fetch): try fetchNow(fetch)
                case .wait: try commit()
                case .busy: throw Refusal(.serverFault)
                }
            }
        }
    }

    /// Runs an operation and commits what it changed.
    @discardableResult
    func call<T>(_ body: (SessionState) throws(Interrupt) -> T) throws -> T {
        let answer = try run(body)
        try commit()
        return answer
    }

    /// The status that an operation is refused with; nil when it is not.
    func status<T>(_ body: (SessionState) throws(Interrupt) -> T) -> NFS3.Status? {
        do {
            try call(body)
            return nil
        } catch {
            return (error as? Refusal)?.status ?? .serverFault
        }
    }

    private func fetchNow(_ fetch: Fetch) throws {
        do throws(Interrupt) {
            try image.feed(fetch, main.perform(fetch, in: image), replica: 0)
        } catch {
            guard case .status(let status) = error else { throw error }
            throw Refusal(status)
        }
        let batch = session.batch.number
        var outcome: NFS3.Status??
        image.commit { outcome = .some($0) }
        queue.run { outcome != nil }
        if case .some(.some(let status)) = outcome { throw Refusal(status) }
        try onFetch()
        // The end of one commit may have begun the next meanwhile. What that covers would be unclear to
        // whoever keeps account; so all of it is waited for, and told.
        if session.batch.number != batch { try commit() }
    }

    /// Waits until all that was changed is committed.
    /// - Throws: ``Refusal``.
    func commit() throws {
        var outcome: NFS3.Status??
        session.commit { outcome = .some($0) }
        queue.run { outcome != nil }
        if case .some(.some(let status)) = outcome { throw Refusal(status) }
        onCommit()
    }

    /// Runs what commits send back until something is so.
    func wait(until isSo: () -> Bool) { queue.run(until: isSo) }

    /// Begins a commit and does not wait for it.
    func beginCommit() { session.commit { _ in } }

    // MARK: Data

    /// READ as a shell answers it.
    func read(
        _ id: NodeID, _ offset: UInt64 = 0, _ count: Int = 1 << 20, _ credential: Credential = .root
    ) throws -> (bytes: [UInt8], eof: Bool) {
        let plan = try run { session throws(Interrupt) in
            try session.planRead(id, offset: offset, count: count, credential)
        }
        var bytes = [UInt8](repeating: 0, count: plan.range.count)
        switch plan.source {
        case .nothing: break
        case .one(let source): try fill(&bytes, plan.range, from: source, of: id, plan.range)
        case .mixed(let read):
            for run in read.runs {
                try fill(&bytes, run.range, from: read.sources[run.source], of: id, plan.range)
            }
        }
        return (bytes, plan.eof)
    }

    private func fill(
        _ bytes: inout [UInt8], _ range: Range<UInt64>, from source: SessionState.ByteSource,
        of id: NodeID, _ whole: Range<UInt64>
    ) throws {
        switch source {
        case .shadow(let file, _): try fill(&bytes, range, from: file, at: whole.lowerBound)
        case .main: try fillFromMain(&bytes, range, id, at: whole.lowerBound)
        case .zeros: break
        case .remote: throw Refusal(.serverFault)
        }
    }

    private func fill(
        _ bytes: inout [UInt8], _ range: Range<UInt64>, from file: SparseFile, at start: UInt64
    ) throws {
        try bytes.withUnsafeMutableBytes { buffer in
            let place = Int(range.lowerBound - start)..<Int(range.upperBound - start)
            try file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[place]), at: range.lowerBound)
        }
    }

    private func fillFromMain(
        _ bytes: inout [UInt8], _ range: Range<UInt64>, _ id: NodeID, at start: UInt64
    ) throws {
        let data = try main.read(id, range, in: image)
        guard data.count == range.count else { throw Refusal(.io) }
        let first = Int(range.lowerBound - start)
        bytes.replaceSubrange(first..<(first + data.count), with: data)
    }

    /// WRITE; anything but UNSTABLE still has to be committed.
    func write(
        _ id: NodeID, _ offset: UInt64, _ data: [UInt8], _ stable: NFS3.Stability = .fileSync,
        _ credential: Credential = .root
    ) throws {
        _ = try run { session throws(Interrupt) in
            try data.withBytes { bytes throws(Interrupt) in
                try session.write(id, offset: offset, data: bytes, stable: stable, credential)
            }
        }
    }
}
