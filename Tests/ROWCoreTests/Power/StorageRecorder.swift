import Foundation

@testable import ROWCore

/// One thing that happened to storage; paths are below the directory that is looked at.
enum StorageEvent: Sendable {
    case makeDirectory(String)
    case create(String)
    case write(String, offset: Int, [UInt8])
    case resize(String, Int)
    case remove(String)
    case rename(String, to: String)
    case sync(String, withDirectory: Bool)
    case syncDirectory(String)

    var isSync: Bool {
        switch self {
        case .sync, .syncDirectory: true
        default: false
        }
    }

    /// The file or directory that a sync is about.
    var target: String {
        switch self {
        case .makeDirectory(let path), .create(let path), .write(let path, _, _),
            .resize(let path, _), .remove(let path), .rename(let path, _), .sync(let path, _),
            .syncDirectory(let path):
            path
        }
    }
}

/// Writes down what happens to storage below a directory, in the order in which it takes effect.
///
/// `@unchecked Sendable`: every access to the events is under the lock, and so are the calls, so that
/// none of two threads' calls has an effect between another's effect and its note.
final class StorageRecorder: StorageObserver, @unchecked Sendable {
    private let lock = NSLock()
    private var recorded: [StorageEvent] = []
    private let root: String

    /// - Parameter root: a directory that exists, without symbolic links.
    init(below root: String) {
        self.root = root
        Storage.observe(below: root, by: self)
    }

    func stop() { Storage.stopObserving(self) }

    var events: [StorageEvent] { lock.withLock { recorded } }

    /// How many events there are so far: a place in time.
    var position: Int { lock.withLock { recorded.count } }

    func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
        lock.withLock {
            let result = call()
            if let event = event(change, String(path.dropFirst(root.count + 1)), result) {
                recorded.append(event)
            }
            return result
        }
    }

    /// - Parameter result: of a system call, or a code of SQLite's: then success is 0.
    private func event(
        _ change: StorageChange, _ path: String, _ result: Int
    ) -> StorageEvent? {
        switch change {
        case .create: return result >= 0 ? .create(path) : nil
        case .write(let parts, let offset):
            guard result >= 0 else { return nil }
            var bytes: [UInt8] = []
            for part in parts { bytes.append(contentsOf: part) }
            // What was written in part is tried again from there.
            if result > 0, result < bytes.count { bytes.removeSubrange(result...) }
            return .write(path, offset: Int(offset), bytes)
        default: break
        }
        guard result == 0 else { return nil }
        return switch change {
        case .makeDirectories: .makeDirectory(path)
        case .resize(let size): .resize(path, Int(size))
        case .punch(let offset, let count):
            .write(path, offset: Int(offset), [UInt8](repeating: 0, count: Int(count)))
        // Reserved space holds nothing.
        case .reserve: nil
        case .remove: .remove(path)
        case .rename(let target): .rename(path, to: String(target.dropFirst(root.count + 1)))
        case .sync(let withDirectory): .sync(path, withDirectory: withDirectory)
        case .syncDirectory: .syncDirectory(path)
        case .create, .write: nil
        }
    }
}
