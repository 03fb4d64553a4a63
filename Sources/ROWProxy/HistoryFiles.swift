import Foundation
import ROWCore
import SystemPackage

/// The files of a session's history, in its directory. What they tell nothing depends on: they are replaced
/// as a whole and not synced, and one that is damaged is done without.
struct HistoryFiles: Sendable {
    var history = History()
    var touched = TouchedBlocks()
    /// What of it could not be used, for events.
    private(set) var complaints: [String] = []

    init(history: History, touched: TouchedBlocks) {
        self.history = history
        self.touched = touched
    }

    /// - Parameter directory: the session's.
    init(in directory: FilePath) {
        if let data = Self.data(History.fileName, in: directory) {
            do {
                history = try History(file: data)
            } catch {
                complaints.append("the history was damaged, and begins anew")
            }
        }
        if let data = Self.data(TouchedBlocks.fileName, in: directory) {
            do {
                touched = try TouchedBlocks(file: data)
            } catch {
                complaints.append(
                    "what clients touched of the image was on a damaged record, which begins anew")
            }
        }
    }

    private static func data(_ name: String, in directory: FilePath) -> Data? {
        SmallFile.read(directory.appending(name))
    }

    /// - Parameter withTouched: whether what was touched is not on disk already.
    /// - Throws: what the file system says.
    func write(in directory: FilePath, withTouched: Bool) throws {
        try SmallFile.write(history.file, to: directory.appending(History.fileName))
        guard withTouched else { return }
        try SmallFile.write(touched.file, to: directory.appending(TouchedBlocks.fileName))
    }
}
