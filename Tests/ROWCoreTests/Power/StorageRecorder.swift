import Foundation
import SystemPackage

@testable import ROWCore

/// One thing that happened to storage; paths are below the directory that is looked at.
enum StorageEvent: Sendable {
    case makeDirectory(String)
    case create(String)
    case write(String, offset: Int, [UInt8])
    case resize(String, Int)
    case remove(String)
    case rename(String, to: String)
    case link(String, to: String)
    case sync(String, withDirectory: Bool)
    case syncDirectory(String)
    /// Of a file or directory. The kernel takes for clean what it failed to write.
    case failedSync(String)

    var isSync: Bool {
        switch self {
        case .sync, .syncDirectory: true
        default: false
        }
    }

    /// Without the bytes.
    var summary: String {
        "\("\(self)".prefix { $0 != "(" }) \(target)"
    }

    /// The file or directory that it is about.
    var target: String {
        switch self {
        case .makeDirectory(let path), .create(let path), .write(let path, _, _),
            .resize(let path, _), .remove(let path), .rename(let path, _), .link(let path, _),
            .sync(let path, _), .syncDirectory(let path), .failedSync(let path):
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
    private var unsyncable: Set<String> = []
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

    /// Has all syncs of files and directories of these names fail from now on.
    func failSyncs(of names: Set<String>) { lock.withLock { unsyncable = names } }

    func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
        lock.withLock {
            let path = String(path.dropFirst(root.count + 1))
            switch change {
            case .sync, .syncDirectory:
                guard unsyncable.contains(SimulatedDisk.name(path)) else { break }
                recorded.append(.failedSync(path))
                return -Int(Errno.ioError.rawValue)
            default: break
            }
            let result = call()
            if let event = event(change, path, result) {
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
        case .link(let target): .link(path, to: String(target.dropFirst(root.count + 1)))
        case .sync(let withDirectory): .sync(path, withDirectory: withDirectory)
        case .syncDirectory: .syncDirectory(path)
        case .create, .write: nil
        }
    }
}
