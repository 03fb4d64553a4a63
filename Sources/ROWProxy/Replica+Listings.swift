import NFSProtocol
import NIOCore
import ROWCore

/// The listing of a server's directories: READDIRPLUS, or READDIR and LOOKUP where there is none.
extension Replica {
    /// How far the listing of a directory has come.
    struct Import {
        var cookie: UInt64 = 0
        var verifier: UInt64 = 0
        /// READDIRPLUS is not supported: READDIR and LOOKUP instead.
        var isPlain = false
        var pages = 0
        /// In these pages, without `.`, `..` and what is no name; a page without any counts as some.
        var entries = 0
        /// The cookie after one of the pages before, the last whose number is a power of two.
        var mark: UInt64 = 0

        /// After one more page.
        /// - Returns: nil when the listing goes in a circle.
        func next(_ cookie: UInt64, _ verifier: UInt64, entries: Int = 0) -> Import? {
            guard cookie != self.cookie, cookie != mark else { return nil }
            var next = self
            next.entries += entries
            next.cookie = cookie
            next.verifier = verifier
            next.pages += 1
            if next.pages & (next.pages - 1) == 0 { next.mark = cookie }
            return next
        }
    }

    private static let importsMaximum = 256
    /// Entries of a listing that may be none of the image's objects: names that came twice, or are gone.
    private static let emptyEntriesMaximum: UInt64 = 1024
    /// Entries that a page counts as which has none: nobody sends many of them.
    private static let entriesOfEmptyPage = 64
    private static let dots: [[UInt8]] = [[46], [46, 46]]
    private static let listingBytes: UInt32 = 64 << 10
    /// A LOOKUP per entry is made for what READDIRPLUS leaves out; this many at a time.
    private static let lookupsMaximum = 32

    func list(
        _ directory: NodeID, _ handle: NFS3.FileHandle, by deadline: Deadline,
        _ again: @escaping () -> Bool, _ then: @escaping FetchCompletion
    ) {
        let state = imports[directory] ?? Import()
        guard !state.isPlain else {
            listPlain(directory, handle, state, deadline, again, then)
            return
        }
        let arguments = NFS3.Readdirplus.Arguments(
            directory: handle, cookie: state.cookie, cookieVerifier: state.verifier,
            dircount: Self.listingBytes, maxcount: Self.listingBytes)
        call(
            .readdirplus, arguments, NFS3.Readdirplus.Result.self, on: directory, by: deadline
        ) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(.failure(.notSupp, _)):
                self.setImport(directory, Import(isPlain: true))
                self.list(directory, handle, by: deadline, again, then)
            case .success(.failure(let status, _)):
                self.listingFailed(directory, state, status, again, then)
            case .success(.ok(let ok)):
                let listed = ok.entries.map { entry in
                    Listed(name: entry.name, attributes: entry.attributes, handle: entry.handle)
                }
                self.take(
                    listed, in: handle, of: directory, state,
                    at: (ok.entries.last?.cookie, ok.cookieVerifier, ok.eof), by: deadline, then)
            }
        }
    }

    private func listPlain(
        _ directory: NodeID, _ handle: NFS3.FileHandle, _ state: Import,
        _ deadline: Deadline, _ again: @escaping () -> Bool, _ then: @escaping FetchCompletion
    ) {
        let arguments = NFS3.Readdir.Arguments(
            directory: handle, cookie: state.cookie, cookieVerifier: state.verifier, count: 8192)
        call(
            .readdir, arguments, NFS3.Readdir.Result.self, on: directory, by: deadline
        ) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(.failure(let status, _)):
                self.listingFailed(directory, state, status, again, then)
            case .success(.ok(let ok)):
                self.take(
                    ok.entries.map { Listed(name: $0.name) }, in: handle, of: directory, state,
                    at: (ok.entries.last?.cookie, ok.cookieVerifier, ok.eof), by: deadline, then)
            }
        }
    }

    /// Takes a page of a listing.
    /// - Parameter place: the cookie of its last entry, and whether it is the last page.
    private func take(
        _ listed: [Listed], in handle: NFS3.FileHandle, of directory: NodeID, _ state: Import,
        at place: (cookie: UInt64?, verifier: UInt64, isLast: Bool), by deadline: Deadline,
        _ then: @escaping FetchCompletion
    ) {
        let listed = listed.filter { !Self.dots.contains($0.name.bytes) }
        let usable = listed.count { $0.name.bytes.canNameObject }
        let next = place.cookie.flatMap {
            state.next(
                $0, place.verifier,
                entries: usable == 0 ? Self.entriesOfEmptyPage : usable)
        }
        // What the pages before had is known by now, unless they told of the same names again and again.
        let known = image.entriesKnown(of: directory) + Self.emptyEntriesMaximum
        guard place.isLast || next != nil, UInt64(state.entries) <= known else {
            return doesNotGoOn(directory, then)
        }
        complete(
            listed, in: handle, of: directory, isLast: place.isLast, by: deadline,
            advancing(directory, to: place.isLast ? nil : next, then))
    }

    private func doesNotGoOn(_ directory: NodeID, _ then: FetchCompletion) {
        onEvent("'s listing of \(directory) does not go on")
        setImport(directory, nil)
        then(.failure(.status(.io)))
    }

    /// The listing goes on behind a page once all of that has been had; otherwise it begins again, or
    /// the page would be missing for ever.
    private func advancing(
        _ directory: NodeID, to next: Import?, _ then: @escaping FetchCompletion
    ) -> FetchCompletion {
        let life = life
        return { result in
            if life == self.life {
                if case .success = result {
                    self.setImport(directory, next)
                } else {
                    self.setImport(directory, nil)
                }
            }
            then(result)
        }
    }

    /// A cookie that main no longer takes starts the import again; STALE asks for a new handle.
    private func listingFailed(
        _ directory: NodeID, _ state: Import, _ status: NFS3.Status,
        _ again: @escaping () -> Bool, _ then: @escaping FetchCompletion
    ) {
        let mayRestart = status == .badCookie && state.cookie != 0 || status.isLostHandle
        setImport(directory, nil)
        if mayRestart, again() { return }
        then(.failure(.status(status)))
    }

    private func setImport(_ directory: NodeID, _ state: Import?) {
        if state != nil, imports[directory] == nil, imports.count >= Self.importsMaximum,
            let other = imports.keys.first
        {
            imports[other] = nil
        }
        imports[directory] = state
    }

    private struct Listed {
        let name: NFS3.Filename
        var attributes: NFS3.Attributes?
        var handle: NFS3.FileHandle?
    }

    /// Looks up what the listing left out, a few names at a time, and hands the page over.
    private func complete(
        _ listed: [Listed], in directory: NFS3.FileHandle, of id: NodeID, isLast: Bool,
        by deadline: Deadline, _ then: @escaping FetchCompletion
    ) {
        let page = Page(listed)
        func step() {
            while page.failure == nil, page.next < page.listed.count,
                page.underWay < Self.lookupsMaximum
            {
                let index = page.next
                page.next += 1
                let item = page.listed[index]
                if let attributes = item.attributes, item.handle != nil {
                    page.entries[index] = MainEntry(attributes: attributes, handle: item.handle)
                    continue
                }
                page.underWay += 1
                lookup(item.name, in: directory, of: id, by: deadline) { result in
                    page.underWay -= 1
                    switch result {
                    case .success(let entry): page.entries[index] = entry
                    case .failure(let failure): page.failure = failure
                    }
                    step()
                }
            }
            guard page.underWay == 0, !page.isDone else { return }
            page.isDone = true
            if let failure = page.failure {
                then(.failure(failure))
                return
            }
            let entries = zip(page.listed, page.entries).compactMap { item, entry in
                entry.map { (name: item.name.bytes, entry: $0) }
            }
            handOver(entries, of: id, isLast: isLast, by: deadline, then)
        }
        step()
    }

    /// What is known must be as it was, and new names of known nodes must be seen to be that.
    private func handOver(
        _ entries: [(name: [UInt8], entry: MainEntry)], of directory: NodeID, isLast: Bool,
        by deadline: Deadline, _ then: @escaping FetchCompletion
    ) {
        func finish() {
            findLinks(of: entries.map(\.entry), by: deadline) { result in
                then(result.map { .page(entries, isLast: isLast) })
            }
        }
        let changed = entries.lazy.compactMap { name, entry -> NodeID? in
            guard let child = self.image.child(of: directory, named: name),
                let known = self.image.attributes(of: child),
                !known.isSame(as: entry.attributes, self.owner)
            else { return nil }
            return child
        }.first
        guard let changed else { return finish() }
        owner.settle(changed, accused: self) { settled in
            switch settled {
            case .refused: then(.failure(.away))
            case .changed: finish()
            case .unknown: then(.failure(.status(.jukebox)))
            }
        }
    }

    /// A page of a listing on its way to being complete.
    private final class Page {
        let listed: [Listed]
        var entries: [MainEntry?]
        var next = 0
        var underWay = 0
        var failure: Failure?
        var isDone = false

        init(_ listed: [Listed]) {
            self.listed = listed
            entries = Array(repeating: nil, count: listed.count)
        }
    }
}
