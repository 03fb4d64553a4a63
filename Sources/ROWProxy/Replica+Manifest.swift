import NFSProtocol
import NIOCore
import ROWCore

/// The manifest that a server has.
extension Replica {
    struct FoundManifest {
        let directory: MainEntry
        let database: MainEntry
        let sums: ManifestSums
        let sumsBytes: [UInt8]
        /// The number of the server.
        let replica: Int
    }

    typealias ManifestCompletion = (Result<FoundManifest?, Failure>) -> Void

    /// Looks for a manifest in the root.
    /// - Parameter then: hears nil when there is none, or none that can be used.
    func findManifest(by deadline: Deadline, then: @escaping ManifestCompletion) {
        guard let rootHandle else { return then(.failure(.away)) }
        look(for: ManifestPlace.directory, in: rootHandle, by: deadline, else: then) {
            directory, at in
            self.look(for: ManifestPlace.sums, in: at, by: deadline, else: then) { sums, file in
                guard sums.attributes.size <= UInt64(ManifestSums.bytesMaximum) else {
                    self.onEvent("'s manifest is of no use: its sums are too long")
                    return then(.success(nil))
                }
                let count = Int(sums.attributes.size)
                self.readStart(of: file, count: count, by: deadline) { read in
                    guard case .success(let bytes) = read else {
                        return then(read.map { _ in nil })
                    }
                    let found: ManifestSums
                    let text = Array(bytes.readableBytesView)
                    do {
                        found = try ManifestSums(bytes: text)
                    } catch {
                        self.onEvent("'s manifest is of no use: \(error)")
                        return then(.success(nil))
                    }
                    self.look(for: ManifestPlace.database, in: at, by: deadline, else: then) {
                        database, _ in
                        guard database.attributes.type == .regular,
                            database.attributes.size == UInt64(found.size)
                        else {
                            self.onEvent(
                                "'s manifest is of no use: it is not as long as its sums say")
                            return then(.success(nil))
                        }
                        then(
                            .success(
                                FoundManifest(
                                    directory: directory, database: database, sums: found,
                                    sumsBytes: text, replica: self.number)))
                    }
                }
            }
        }
    }

    private func look(
        for name: String, in directory: NFS3.FileHandle, by deadline: Deadline,
        else then: @escaping ManifestCompletion,
        _ found: @escaping (MainEntry, NFS3.FileHandle) -> Void
    ) {
        lookup(NFS3.Filename(name), in: directory, of: nil, by: deadline) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(let entry?):
                guard let handle = entry.handle else { return then(.success(nil)) }
                found(entry, handle)
            case .success(nil): then(.success(nil))
            }
        }
    }
}
