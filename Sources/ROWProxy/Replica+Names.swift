import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore

/// Handles and names at one server.
extension Replica {
    typealias FetchCompletion = (Result<FetchResult, Failure>) -> Void

    /// Answers a fetch.
    func perform(_ fetch: Fetch, by deadline: Deadline, then: @escaping FetchCompletion) {
        switch fetch {
        case .lookup(let directory, let name):
            withHandle(directory, by: deadline, fail: { then(.failure($0)) }) { handle, again in
                self.lookup(NFS3.Filename(name), in: handle, of: directory, by: deadline) { found in
                    switch found {
                    case .failure(let failure):
                        if failure.isLostHandle, again() { return }
                        then(.failure(failure))
                    case .success(let entry):
                        self.findLinks(of: entry.map { [$0] } ?? [], by: deadline) {
                            then($0.map { .entry(entry) })
                        }
                    }
                }
            }
        case .target(let id):
            withHandle(id, by: deadline, fail: { then(.failure($0)) }) { handle, again in
                self.readTarget(of: id, handle, by: deadline, again, then)
            }
        case .listing(let directory):
            withHandle(directory, by: deadline, fail: { then(.failure($0)) }) { handle, again in
                self.list(directory, handle, by: deadline, again, then)
            }
        }
    }

    private func readTarget(
        of id: NodeID, _ handle: NFS3.FileHandle, by deadline: Deadline,
        _ again: @escaping () -> Bool, _ then: @escaping FetchCompletion
    ) {
        let arguments = NFS3.Readlink.Arguments(symlink: handle)
        call(.readlink, arguments, NFS3.Readlink.Result.self, by: deadline) { result in
            switch result {
            case .success(.ok(let ok)):
                if let attributes = ok.attributes, let known = self.attributes(of: id),
                    !known.isSame(as: attributes, self.owner)
                {
                    then(.failure(.differs(id)))
                } else {
                    then(.success(.target(ok.data.bytes)))
                }
            case .success(.failure(let status, _)):
                if status.isLostHandle, again() { return }
                then(.failure(.status(status)))
            case .failure(let failure): then(.failure(failure))
            }
        }
    }

    // MARK: Handles

    /// Finds the handle of a node, from what is known or by the node's path, and runs `body` with it.
    /// When the server says STALE, `again` forgets the handle and runs `body` once more with a new one;
    /// it answers false when that has been done already.
    func withHandle(
        _ id: NodeID, isRetry: Bool = false, by deadline: Deadline,
        fail: @escaping (Failure) -> Void,
        _ body: @escaping (NFS3.FileHandle, _ again: @escaping () -> Bool) -> Void
    ) {
        find(id, isFresh: isRetry, by: deadline) { found in
            switch found {
            case .failure(let failure): fail(failure)
            case .success(let handle):
                body(handle) {
                    guard !isRetry else { return false }
                    self.withHandle(id, isRetry: true, by: deadline, fail: fail, body)
                    return true
                }
            }
        }
    }

    /// - Parameter isFresh: whether the handles that are known are in doubt.
    func find(
        _ id: NodeID, isFresh: Bool, by deadline: Deadline, then: @escaping HandleCompletion
    ) {
        guard let rootHandle else { return then(.failure(.away)) }
        if id == .root { return then(isFresh ? .failure(loseRoot()) : .success(rootHandle)) }
        if !isFresh, let handle = handle(of: id) { return then(.success(handle)) }
        guard let (parent, name) = image.location(of: id) else {
            return then(.failure(.status(.stale)))
        }
        // The root's own handle is doubted only when a lookup in it says so.
        find(parent, isFresh: isFresh && parent != .root, by: deadline) { found in
            guard case .success(let directory) = found else { return then(found) }
            self.lookup(NFS3.Filename(name), in: directory, of: parent, by: deadline) { found in
                switch found {
                case .success(let entry): then(self.identify(entry, as: id))
                case .failure(let failure) where failure.isLostHandle && parent == .root:
                    then(.failure(self.loseRoot()))
                case .failure(let failure) where failure.isLostHandle && !isFresh:
                    self.find(id, isFresh: true, by: deadline, then: then)
                case .failure(let failure): then(.failure(failure))
                }
            }
        }
    }

    /// Takes in what a lookup found at a node's place.
    func identify(_ entry: MainEntry?, as id: NodeID) -> Result<NFS3.FileHandle, Failure> {
        guard let entry, let handle = entry.handle, let known = image.attributes(of: id),
            known.isSame(as: entry.attributes, owner)
        else { return .failure(.differs(id)) }
        remember(handle, of: id)
        image.feedHandle(handle, of: id, replica: number)
        image.feedLink(entry.attributes, of: id, replica: number)
        return .success(handle)
    }

    /// It does not know the handle of its root any more, which no LOOKUP gives: it is mounted again.
    private func loseRoot() -> Failure {
        lost("it has forgotten the root's handle", forgetsRoot: true)
        return .away
    }

    // MARK: Names

    /// LOOKUP, and GETATTR where LOOKUP left the attributes out; nil when there is no such name.
    func lookup(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, of id: NodeID?,
        by deadline: Deadline, then: @escaping (Result<MainEntry?, Failure>) -> Void
    ) {
        let arguments = NFS3.Lookup.Arguments(
            what: NFS3.DirectoryOperation(directory: directory, name: name))
        call(.lookup, arguments, NFS3.Lookup.Result.self, on: id, by: deadline) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(.failure(.noent, _)): then(.success(nil))
            case .success(.failure(let status, _)): then(.failure(.status(status)))
            case .success(.ok(let ok)):
                if let attributes = ok.attributes {
                    then(.success(MainEntry(attributes: attributes, handle: ok.object)))
                } else {
                    self.getattr(ok.object, by: deadline) { then($0.map { $0 }) }
                }
            }
        }
    }

    func getattr(
        _ handle: NFS3.FileHandle, by deadline: Deadline,
        then: @escaping (Result<MainEntry, Failure>) -> Void
    ) {
        let arguments = NFS3.Getattr.Arguments(object: handle)
        call(.getattr, arguments, NFS3.Getattr.Result.self, by: deadline) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(.failure(let status, _)): then(.failure(.status(status)))
            case .success(.ok(let ok)):
                then(.success(MainEntry(attributes: ok.attributes, handle: handle)))
            }
        }
    }

    /// Finds out whether new names are those of nodes that another server told of: which names are one
    /// object, each server only says in numbers of its own.
    func findLinks(
        of entries: [MainEntry], by deadline: Deadline,
        then: @escaping (Result<Void, Failure>) -> Void
    ) {
        var candidates: [NodeID] = []
        if image.hasSeveralReplicas {
            for entry in entries
            where image.node(linkedAs: entry.attributes, replica: number) == nil {
                for id in image.nodes(
                    perhapsLinkedAs: entry.attributes, replica: number,
                    maximum: Self.linkCandidatesMaximum)
                where !candidates.contains(id) {
                    candidates.append(id)
                }
            }
        }
        func next() {
            guard let id = candidates.popLast() else { return then(.success(())) }
            look(at: id, by: deadline) { found in
                if case .failure(.away) = found { return then(.failure(.away)) }
                next()
            }
        }
        next()
    }

    /// Nodes of the same size and time with several names each that are looked at for a new name.
    private static let linkCandidatesMaximum = 64

    /// Looks at what is at a node's place now.
    func look(at id: NodeID, by deadline: Deadline, then: @escaping HandleCompletion) {
        guard let (parent, name) = image.location(of: id) else {
            return then(.failure(.status(.stale)))
        }
        withHandle(parent, by: deadline, fail: { then(.failure($0)) }) { directory, again in
            self.lookup(NFS3.Filename(name), in: directory, of: parent, by: deadline) { found in
                switch found {
                case .success(let entry): then(self.identify(entry, as: id))
                case .failure(let failure):
                    if failure.isLostHandle, again() { return }
                    then(.failure(failure))
                }
            }
        }
    }
}

extension Replica.Failure {
    /// Whether the server does not know the handle any more.
    var isLostHandle: Bool {
        if case .status(let status) = self { status.isLostHandle } else { false }
    }
}

extension NFS3.Status {
    /// Main does not know the handle any more; a server may call one of its earlier life malformed.
    var isLostHandle: Bool { self == .stale || self == .badHandle }
}
