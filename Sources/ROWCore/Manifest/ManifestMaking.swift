import CLinux
import Glibc
import NFSProtocol
import SystemPackage

/// Makes the manifest of a tree: walks it, writes the names, hashes the files and writes the hashes.
struct ManifestMaking {
    struct Made {
        let facts: ManifestReader.Facts
        /// Of the manifest, bytes.
        let size: Int
        let bytesRead: UInt64
    }

    let root: TreeRoot
    let earlier: ManifestReader?
    let place: MakingFiles

    /// Blocks that wait to be written, whatever the size of the tree.
    private static let batchPages = 4096
    private static let batchBytes: UInt64 = 512 << 20

    func run(progress report: (ImageSeal.Progress) -> Void) throws(StateError) -> Made {
        do {
            return try make(report)
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(
                .io, "cannot make the manifest \(place.manifest): \(error); is there enough space?")
        }
    }

    private func make(_ report: (ImageSeal.Progress) -> Void) throws -> Made {
        var progress = ImageSeal.Progress()
        let record = try TreeRecord(path: place.record.string)
        let walk = TreeWalk(root: root, record: record, earlier: earlier)
        try walk.run {
            progress.names = record.entryCount
            report(progress)
        }
        progress.bytesTotal = try record.fileBytes()
        let writer = try ManifestWriter(path: place.manifest)
        try writer.add(root: try record.root(try rootAttributes()))
        let names = try record.entries()
        while let entry = try names.next() { try writer.add(entry) }
        let bytesRead = try hashFiles(record, writer) { files, bytes in
            progress.files += files
            progress.bytes += bytes
            report(progress)
        }
        try walk.checkDirectories()
        let facts = try writer.finish()
        let size = try SparseFile(path: place.manifest, create: false).size
        guard size <= UInt64(ManifestSums.manifestSizeMaximum) else {
            throw StateError(
                .io, "the manifest would be longer than \(ManifestSums.manifestSizeMaximum) bytes")
        }
        return Made(facts: facts, size: Int(size), bytesRead: bytesRead)
    }

    private func rootAttributes() throws -> NFS3.Attributes {
        let fd = try root.open([], CLINUX_O_PATH)
        defer { close(fd) }
        return try root.attributes(fd, [])
    }

    // MARK: Hashes

    /// A row of `chunks` to come.
    private struct Page {
        let node: UInt64
        let page: UInt64
        /// The file in the earlier manifest when the hashes are there, else 0.
        let known: UInt64
        /// Of the file, in this page.
        let bytes: UInt64
        let isLast: Bool
    }

    /// While one batch of pages is hashed, the one before is written and the next gathered.
    private func hashFiles(
        _ record: TreeRecord, _ writer: ManifestWriter, _ progress: (UInt64, UInt64) -> Void
    ) throws -> UInt64 {
        let hasher = FileHasher(root: root)
        let pages = try PendingPages(record)
        var bytesRead: UInt64 = 0
        var running: (pages: [Page], batch: HashBatch)?
        repeat {
            let (next, jobs) = try pages.next()
            let batch = HashBatch(jobs, by: hasher)
            if let running {
                var hashed = try running.batch.wait().makeIterator()
                for page in running.pages {
                    let hashes: [UInt8]
                    if page.known == 0, let result = hashed.next() {
                        hashes = result.hashes
                        bytesRead += result.bytesRead
                    } else {
                        hashes = try earlierHashes(page)
                    }
                    try writer.add(hashes: hashes, of: page.node, page: page.page)
                    progress(page.isLast ? 1 : 0, page.bytes)
                }
            }
            running = next.isEmpty ? nil : (next, batch)
        } while running != nil
        return bytesRead
    }

    private func earlierHashes(_ page: Page) throws -> [UInt8] {
        guard let hashes = try earlier?.hashes(of: page.known, page: page.page) else {
            throw StateError(
                .unreadable, "the earlier manifest is damaged; read all files (--rehash)")
        }
        return hashes
    }

    /// The pages of all files in their order.
    private final class PendingPages {
        private let record: TreeRecord
        private let entries: TreeRecord.Cursor
        private var file: TreeRecord.Entry?
        private var nextPage: UInt64 = 0
        /// The directory of the last file, and its path.
        private var directory: (id: UInt64, path: [UInt8]) = (0, [])

        init(_ record: TreeRecord) throws {
            self.record = record
            entries = try record.entries()
        }

        /// A batch, and a job for each of its pages whose hashes are not known; empty at the end.
        func next() throws -> ([Page], [HashJob]) {
            var pages: [Page] = []
            var jobs: [HashJob] = []
            var bytes: UInt64 = 0
            while pages.count < batchPages, bytes < batchBytes, let file = try currentFile() {
                let size = file.version.size
                let blocks = ManifestSchema.blocks(of: nextPage, size: size)
                let count =
                    min(blocks.upperBound * CacheLayout.blockBytes, size)
                    - blocks.lowerBound * CacheLayout.blockBytes
                pages.append(
                    Page(
                        node: file.node.node, page: nextPage, known: file.known, bytes: count,
                        isLast: nextPage + 1 == ManifestSchema.pageCount(size: size)))
                if file.known == 0 {
                    jobs.append(
                        HashJob(
                            path: try path(of: file), version: file.version, page: nextPage))
                    bytes += count
                }
                nextPage += 1
            }
            return (pages, jobs)
        }

        /// The file that `nextPage` is of.
        private func currentFile() throws -> TreeRecord.Entry? {
            if let file, nextPage < ManifestSchema.pageCount(size: file.version.size) {
                return file
            }
            nextPage = 0
            repeat {
                file = try entries.next()
            } while file.map { !isPending($0) } ?? false
            return file
        }

        private func isPending(_ entry: TreeRecord.Entry) -> Bool {
            entry.isFirst && entry.node.attributes.type == .regular && entry.version.size > 0
        }

        private func path(of file: TreeRecord.Entry) throws -> [UInt8] {
            if file.parent != directory.id {
                directory = (file.parent, try record.path(of: file.parent))
            }
            return directory.path.isEmpty
                ? file.name : directory.path + [UInt8(ascii: "/")] + file.name
        }
    }
}
