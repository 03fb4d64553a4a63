import NFSProtocol
import NIOCore
import ROWCore

/// Finds out whether a server has the image: compares its root, a sample of what is known of the image
/// and the first bytes of some files with what is on record here and with a server that is trusted.
///
/// A tree that differs where nothing was sampled passes; that is found when it is used.
final class ReplicaCheck {
    enum Verdict {
        case same
        /// Where, and how.
        case differs(Replica.Difference)
        /// It did not answer.
        case away
    }

    /// A file whose first bytes are compared.
    private struct File {
        let path: String
        /// nil for one of which nothing is on record.
        let id: NodeID?
        let count: Int
        let handle: NFS3.FileHandle
        /// What the trusted server calls it, when that was just listed.
        var trustedHandle: NFS3.FileHandle?
    }

    private let replica: Replica
    /// Lives as long as this is under way.
    private let owner: RemoteImage
    private let trusted: Replica?
    private let walk: ReplicaWalk
    /// Of each step: what is slow but goes on is not away.
    private var deadline: Deadline { .after(ReplicaTiming.connectTimeout, isCheck: true) }
    private var files: [File] = []

    /// Of nodes, and of names in the root where few nodes are on record.
    static let sampleMaximum = 64
    /// Files whose bytes are compared, and how many of each.
    private static let filesMaximum = 4
    private static let bytesMaximum = 64 << 10
    /// How many files are looked for in what is kept here, when there is no other server.
    private static let attemptsMaximum = 32
    /// A root of more entries is compared by a sample.
    static let listingMaximum = 4096

    /// - Parameter trusted: another that has passed, if there is one.
    init(of replica: Replica, trusted: Replica?) {
        self.replica = replica
        owner = replica.owner
        self.trusted = trusted
        walk = ReplicaWalk(
            replica, by: .after(2 * ReplicaTiming.connectTimeout, isCheck: true))
    }

    func run(then: @escaping (Verdict) -> Void) {
        guard let root = replica.rootHandle else { return then(.away) }
        replica.getattr(root, by: deadline) { found in
            switch found {
            case .failure: then(.away)
            case .success(let entry) where entry.attributes.type != .directory:
                then(.differs(Replica.Difference(id: .root, text: "its root is no directory")))
            case .success: self.compareNodes(then)
            }
        }
    }

    private func compareNodes(_ then: @escaping (Verdict) -> Void) {
        let all = replica.image.sample(Self.sampleMaximum)
        // What no server has as it was says nothing about this one.
        let nodes = all.filter { !owner.isChanged($0) }
        var verdict = Verdict.same
        walk.compare(nodes) { id, outcome in
            switch outcome {
            case .same(let entry): self.addFile(id, entry)
            case .differs(let how):
                if case .same = verdict {
                    verdict = .differs(
                        Replica.Difference(id: id, text: "\(self.owner.pathText(id)) \(how)"))
                }
            case .unknown: break
            case .away: verdict = .away
            }
        } then: {
            guard case .same = verdict else { return then(verdict) }
            if all.count < Self.sampleMaximum, !self.owner.isRootChanged {
                self.compareRoots(then)
            } else {
                self.compareFiles(then)
            }
        }
    }

    private func addFile(_ id: NodeID, _ entry: MainEntry) {
        guard entry.attributes.type == .regular, entry.attributes.size > 0,
            let handle = entry.handle
        else { return }
        files.append(
            File(
                path: owner.pathText(id), id: id,
                count: Int(min(entry.attributes.size, UInt64(Self.bytesMaximum))), handle: handle))
    }

    // MARK: The root's listing

    private func compareRoots(_ then: @escaping (Verdict) -> Void) {
        let image = replica.image
        if let trusted {
            trusted.rootListing(maximum: Self.listingMaximum, by: deadline) { listed in
                guard case .success(let listing?) = listed else { return self.compareFiles(then) }
                self.compareRoot(with: listing, then)
            }
        } else if let known = image.wholeListing(of: .root, maximum: Self.listingMaximum) {
            let entries = known.map {
                RootListing.Entry(name: $0.name, attributes: $0.attributes, handle: nil)
            }
            compareRoot(with: RootListing(entries: entries, isWhole: true), then)
        } else {
            compareFiles(then)
        }
    }

    private func compareRoot(with wanted: RootListing, _ then: @escaping (Verdict) -> Void) {
        replica.rootListing(maximum: Self.listingMaximum, by: deadline) { listed in
            switch listed {
            case .failure(.away): return then(.away)
            case .failure, .success(nil): break
            case .success(let found?):
                if wanted.isWhole, found.isWhole, let difference = found.names(unlike: wanted) {
                    return then(.differs(Replica.Difference(id: nil, text: difference)))
                }
            }
            self.compareEntries(
                wanted.entries.shuffled().prefix(Self.sampleMaximum), then)
        }
    }

    private func compareEntries(
        _ entries: ArraySlice<RootListing.Entry>, _ then: @escaping (Verdict) -> Void
    ) {
        guard let root = replica.rootHandle, !entries.isEmpty else { return compareFiles(then) }
        var remaining = entries.count
        var verdict = Verdict.same
        for entry in entries {
            let path = "/" + String(decoding: entry.name, as: UTF8.self)
            replica.lookup(NFS3.Filename(entry.name), in: root, of: .root, by: deadline) { found in
                switch found {
                case .failure(.away): verdict = .away
                case .failure: break
                case .success(let there):
                    if let how = entry.attributes?.difference(
                        of: there?.attributes, ignoringTimes: self.owner.hasManifest)
                    {
                        verdict = .differs(Replica.Difference(id: nil, text: "\(path) \(how)"))
                    } else if let there {
                        self.addFile(path, entry, there)
                    }
                }
                remaining -= 1
                guard remaining == 0 else { return }
                if case .same = verdict { self.compareFiles(then) } else { then(verdict) }
            }
        }
    }

    private func addFile(_ path: String, _ entry: RootListing.Entry, _ there: MainEntry) {
        guard there.attributes.type == .regular, there.attributes.size > 0,
            let handle = there.handle, let trustedHandle = entry.handle,
            !files.contains(where: { $0.path == path })
        else { return }
        files.append(
            File(
                path: path, id: nil,
                count: Int(min(there.attributes.size, UInt64(Self.bytesMaximum))),
                handle: handle, trustedHandle: trustedHandle))
    }

    // MARK: Bytes

    private func compareFiles(_ then: @escaping (Verdict) -> Void) {
        var left = files.shuffled().prefix(
            trusted == nil ? Self.attemptsMaximum : 2 * Self.filesMaximum)
        var compared = 0
        func next() {
            guard compared < Self.filesMaximum, let file = left.popFirst() else {
                return then(.same)
            }
            wantedBytes(of: file) { wanted in
                guard let wanted else { return next() }
                self.replica.readStart(of: file.handle, count: file.count, by: self.deadline) {
                    found in
                    switch found {
                    case .failure(.away): then(.away)
                    case .failure: next()
                    case .success(let bytes) where bytes == wanted:
                        compared += 1
                        next()
                    case .success:
                        then(
                            .differs(
                                Replica.Difference(
                                    id: file.id, text: "\(file.path) has other bytes there")))
                    }
                }
            }
        }
        next()
    }

    /// The bytes that a file should have, when somebody knows them.
    private func wantedBytes(of file: File, then: @escaping (ByteBuffer?) -> Void) {
        func fromCache() {
            guard let id = file.id else { return then(nil) }
            owner.cachedBytes(id, 0..<UInt64(file.count), then)
        }
        guard let trusted, trusted.state == .ready else { return fromCache() }
        if let handle = file.trustedHandle {
            trusted.readStart(of: handle, count: file.count, by: deadline) { then(try? $0.get()) }
        } else if let id = file.id {
            trusted.read(id, 0..<UInt64(file.count), by: deadline) { read in
                if case .success(let bytes) = read { then(bytes) } else { fromCache() }
            }
        } else {
            then(nil)
        }
    }
}

extension NFS3.Attributes {
    /// Whether a server's object can be this one of the image.
    func isSame(as other: NFS3.Attributes, _ image: RemoteImage) -> Bool {
        isSameObject(as: other, ignoringTimes: image.hasManifest)
    }

    /// How another object differs from this one; nil when it may be the same.
    func difference(of other: NFS3.Attributes?, ignoringTimes: Bool = false) -> String? {
        guard let other else { return "is missing there" }
        if isSameObject(as: other, ignoringTimes: ignoringTimes) { return nil }
        if type != other.type { return "is a \(other.type) there, not a \(type)" }
        if size != other.size { return "has \(other.size) bytes there, not \(size)" }
        return "was modified at another time there (\(other.mtime.text), not \(mtime.text))"
    }
}

extension NFS3.Time {
    fileprivate var text: String {
        let fraction = String(nanoseconds)
        return "\(seconds)." + String(repeating: "0", count: max(0, 9 - fraction.count)) + fraction
    }
}
