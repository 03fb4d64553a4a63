import NFSProtocol
import ROWCore

/// Asks a remote main for names before clients need them: the whole listing of a directory in which a name
/// is looked up, the next pages of one that is listed, and what comes next in a walk. ``WalkAhead`` decides;
/// what is asked for goes the way of all fetches, so a client that comes for it meanwhile waits for the same.
///
/// Loop-confined.
final class NamesAhead {
    /// Entries of a directory that are imported ahead of what clients have asked for.
    static let entriesAhead: UInt64 = 4096
    private static let suggestionsMaximum = 32
    private static let directoriesMaximum = 1024

    private let image: ImageStore
    private let unseen: UnseenObjects
    private let fetch: (Fetch, @escaping (NFS3.Status?) -> Void) -> Void
    private var walk = WalkAhead()
    /// How many entries of a directory are to be known, where clients are far into it.
    private var entriesWanted: [NodeID: UInt64] = [:]
    /// Directories that main does not list for us; a client that lists them hears why.
    private var refused = RecentSet<NodeID>(capacity: 4096)
    /// Directories in which nothing is left to ask for; that stays so.
    private var withoutDirectories = RecentSet<NodeID>(capacity: 65_536)
    private var withoutLinks = RecentSet<NodeID>(capacity: 65_536)
    private var isFetching = false
    private var isClosed = false

    /// - Parameter fetch: gets something into the image.
    init(
        _ image: ImageStore, fetch: @escaping (Fetch, @escaping (NFS3.Status?) -> Void) -> Void
    ) throws(StateError) {
        self.image = image
        self.fetch = fetch
        unseen = try UnseenObjects(image)
    }

    /// Asks for nothing any more.
    func close() { isClosed = true }

    // MARK: What clients do

    /// A client's call waits for this.
    func needed(_ fetch: Fetch) {
        guard case .lookup(let directory, _) = fetch else { return }
        want(directory, entries: Self.entriesAhead)
        start()
    }

    /// A client lists a directory, from a cookie on.
    func lists(_ directory: NodeID, after cookie: UInt64) {
        guard !directory.isSessionMade else { return }
        // Main's entries are counted by their cookies.
        if cookie < 1 << 32 { want(directory, entries: cookie + Self.entriesAhead) }
        if cookie == 0 {
            let parent = image.location(of: directory)?.parent
            if walk.lists(directory, in: parent) {
                // What is inside comes before what is beside it, and both before all else.
                if let parent { suggest(in: parent, after: directory) }
                suggest(in: directory)
            }
        }
        start()
    }

    /// A client reads a link.
    func readsLink(_ link: NodeID) {
        guard !link.isSessionMade, let parent = image.location(of: link)?.parent,
            walk.readsLink(in: parent)
        else { return }
        suggestLinks(in: parent, after: link)
        start()
    }

    private func want(_ directory: NodeID, entries: UInt64) {
        guard !refused.contains(directory), !image.isComplete(directory),
            image.entriesKnown(of: directory) < entries
        else { return }
        if entriesWanted.count >= Self.directoriesMaximum { entriesWanted.removeAll() }
        entriesWanted[directory] = max(entries, entriesWanted[directory] ?? 0)
        walk.want(directory)
    }

    // MARK: What comes next

    /// - Parameter child: after which a client comes to the others.
    private func suggest(in directory: NodeID, after child: NodeID? = nil) {
        guard !withoutDirectories.contains(directory) else { return }
        let found = unseen.next(
            .directories, in: directory, after: child, count: Self.suggestionsMaximum)
        if found.objects.isEmpty, found.isAll, image.isComplete(directory) {
            withoutDirectories.insert(directory)
        }
        walk.suggest(found.objects.filter { !refused.contains($0) })
    }

    private func suggestLinks(in directory: NodeID, after link: NodeID? = nil) {
        guard !withoutLinks.contains(directory) else { return }
        let found = unseen.next(.links, in: directory, after: link, count: Self.suggestionsMaximum)
        if found.objects.isEmpty, found.isAll, image.isComplete(directory) {
            withoutLinks.insert(directory)
        }
        walk.suggestLinks(found.objects)
    }

    // MARK: Fetching

    private func start() {
        guard !isFetching, !isClosed else { return }
        isFetching = true
        while let directory = walk.startListing() { listMore(of: directory) }
        while let link = walk.startLink() { read(link) }
        isFetching = false
    }

    private func listMore(of directory: NodeID) {
        let wanted = entriesWanted[directory] ?? Self.entriesAhead
        guard !isClosed, !image.isComplete(directory), image.entriesKnown(of: directory) < wanted
        else {
            finish(directory)
            return
        }
        fetch(.listing(directory: directory)) { status in
            if let status {
                if status != .jukebox { self.refused.insert(directory) }
                self.finish(directory)
                return
            }
            if self.walk.leads(into: directory) {
                self.suggest(in: directory)
                if self.walk.readsLinks { self.suggestLinks(in: directory) }
            }
            self.listMore(of: directory)
            self.start()
        }
    }

    private func finish(_ directory: NodeID) {
        entriesWanted[directory] = nil
        walk.finishListing(directory)
        start()
    }

    private func read(_ link: NodeID) {
        guard !image.has(.target(link)) else {
            walk.finishLink(link)
            return
        }
        fetch(.target(link)) { _ in
            self.walk.finishLink(link)
            self.start()
        }
    }
}
