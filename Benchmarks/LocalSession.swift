import Dispatch
import NFSProtocol
import ROWCore
import ROWTestKit
import SystemPackage

/// A session on a directory of this machine, in this process and without a network.
final class LocalSession {
    let session: SessionState
    private let main: DirectoryImage
    private let image: ImageStore
    /// Holds image, session and what the image is made from, unless they are somebody else's.
    private let folder: TemporaryDirectory?

    /// - Parameter makeFiles: fills the directory that becomes the image.
    convenience init(
        isDurable: Bool = false, _ makeFiles: (TemporaryDirectory) throws -> Void
    ) throws {
        let folder = try TemporaryDirectory("rowfs-bench")
        try makeFiles(folder)
        try self.init(
            files: folder.directory("files"), state: folder.path("state"), isDurable: isDurable,
            folder: folder)
    }

    /// Opens or makes what `rowctl` serves as the session `bench` of the directory.
    /// - Parameter state: the state directory.
    /// - Parameter blockBytes: of a new session.
    init(
        files: String, state: String, blockBytes: UInt64 = 4096, isDurable: Bool,
        folder: TemporaryDirectory? = nil
    ) throws {
        self.folder = folder
        let source = try DirectorySource(FilePath(files)).name
        let layout = StateLayout(FilePath(state))
        main = try DirectoryImage(path: FilePath(files))
        // Commits report there; whoever began one waits for it, so nothing runs at the same time.
        let loop = DispatchQueue(label: "LocalSession")
        let executor: LoopExecutor = { loop.async(execute: $0) }
        image = try ImageStore(
            directory: layout.image(source), source: source, root: try main.rootEntry(),
            isDurable: false, loop: executor)
        session = try SessionState(
            name: "bench", directory: layout.session("bench"), image: image,
            blockSize: blockBytes, isDurable: isDurable, loop: executor)
    }

    deinit {
        session.close()
        image.close()
    }

    /// Runs an operation until it answers.
    func run<T>(_ body: (SessionState) throws(Interrupt) -> T) throws(Interrupt) -> T {
        while true {
            do throws(Interrupt) {
                return try body(session)
            } catch {
                switch error {
                case .status, .busy: throw error
                case .need(let fetch):
                    try image.feed(fetch, main.perform(fetch, in: image), replica: 0)
                    try wait { image.commit(then: $0) }
                case .wait: try commit()
                }
            }
        }
    }

    /// Records what was changed.
    func commit() throws(Interrupt) { try wait { session.commit(then: $0) } }

    /// Keeps what is there under a name.
    func takeSnapshot(_ tag: String) throws {
        let ended = DispatchSemaphore(value: 0)
        var outcome: StateError?
        session.takeSnapshot(tag) {
            outcome = $0
            ended.signal()
        }
        ended.wait()
        if let outcome { throw outcome }
    }

    private func wait(
        _ begin: (@escaping (NFS3.Status?) -> Void) -> Void
    ) throws(Interrupt) {
        let ended = DispatchSemaphore(value: 0)
        var outcome: NFS3.Status?
        begin {
            outcome = $0
            ended.signal()
        }
        ended.wait()
        if let outcome { throw .status(outcome) }
    }

    /// The node of a name in the root directory.
    func find(_ name: String) throws(Interrupt) -> NodeID {
        try run { session throws(Interrupt) in
            try Self.withBytes(of: name) { bytes throws(Interrupt) in
                try session.lookup(.root, bytes, .root).id
            }
        }
    }

    /// The bytes of a name.
    static func withBytes<T>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws(Interrupt) -> T
    ) throws(Interrupt) -> T {
        let bytes = Array(name.utf8)
        let result: Result<T, Interrupt> = bytes.withUnsafeBytes { raw in
            do throws(Interrupt) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// What a measured operation throws is a mistake in the benchmark.
func mustSucceed<T>(_ body: () throws(Interrupt) -> T) -> T {
    do throws(Interrupt) { return try body() } catch {
        preconditionFailure("a prepared operation answers \(error)")
    }
}
