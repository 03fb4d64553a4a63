import ROWCore

/// Decides which names of main are fetched before a client asks for them: what clients do goes in, what is
/// to be fetched now comes out. A plain value.
///
/// A directory is *wanted* when a client lists it or looks a name up in it. A client *walks* when it lists
/// a directory and then one inside it; then the directories that come next are fetched ahead of it, and
/// those inside them, in parallel. How far ahead follows from how far the client has come: each directory
/// that it lists pays for some more. A client that also reads the links of what it has listed gets those of
/// the next directories too.
struct WalkAhead {
    /// Listings at a time.
    static let listingsMaximum = 16
    /// Links at a time.
    static let linksMaximum = 32
    /// Directories fetched ahead that no client has listed.
    static let leadMaximum = 64
    /// Directories that one listed by a walking client pays for.
    private static let gain = 8
    /// Directories that a client lists without reading a link before it is taken not to read any.
    private static let patience = 16

    private var listed = RecentSet<NodeID>(capacity: 1024)
    /// Directories that a client listed in a walk, or that were fetched ahead of one.
    private var walked = RecentSet<NodeID>(capacity: 1024)
    private var last: NodeID?
    private var lead = 0
    private var linkPatience = 0
    private var wanted = WaitingList()
    private var ahead = WaitingList()
    private var links = WaitingList()
    private var listingsUnderWay: Set<NodeID> = []
    private var linksUnderWay: Set<NodeID> = []

    // MARK: What clients do

    /// A client begins to list a directory.
    /// - Returns: whether it walks. What comes next is then to be suggested.
    mutating func lists(_ directory: NodeID, in parent: NodeID?) -> Bool {
        // A call that had to wait for main comes twice.
        guard directory != last else { return false }
        last = directory
        listed.insert(directory)
        linkPatience = max(linkPatience - 1, 0)
        guard let parent, listed.contains(parent) else { return false }
        walked.insert(directory)
        lead = min(lead + Self.gain, Self.leadMaximum)
        return true
    }

    /// A client reads a link.
    /// - Returns: whether it reads those of the whole directory. They are then to be suggested.
    mutating func readsLink(in directory: NodeID) -> Bool {
        guard listed.contains(directory) else { return false }
        linkPatience = Self.patience
        return true
    }

    /// Whether a client reads the links of the directories that it lists.
    var readsLinks: Bool { linkPatience > 0 }

    /// Whether what is in a directory is to be suggested when it has been listed.
    func leads(into directory: NodeID) -> Bool { walked.contains(directory) }

    // MARK: What to fetch

    /// A directory is to be listed as soon as possible.
    mutating func want(_ directory: NodeID) {
        guard !listingsUnderWay.contains(directory) else { return }
        wanted.add([directory])
    }

    /// Directories that a walk comes to, in its order, and before those that were suggested already.
    mutating func suggest(_ directories: [NodeID]) {
        ahead.add(directories.filter { !listingsUnderWay.contains($0) })
    }

    /// Links that a client comes to, as directories.
    mutating func suggestLinks(_ links: [NodeID]) {
        self.links.add(links.filter { !linksUnderWay.contains($0) })
    }

    /// The next directory to list now; ``finishListing(_:)`` when that is done.
    mutating func startListing() -> NodeID? {
        guard listingsUnderWay.count < Self.listingsMaximum else { return nil }
        var directory = wanted.takeFirst()
        if directory == nil, lead > 0 {
            directory = ahead.takeFirst()
            if let directory {
                lead -= 1
                walked.insert(directory)
            }
        }
        if let directory {
            wanted.remove(directory)
            ahead.remove(directory)
            listingsUnderWay.insert(directory)
        }
        return directory
    }

    mutating func finishListing(_ directory: NodeID) { listingsUnderWay.remove(directory) }

    /// The next link to read now; ``finishLink(_:)`` when that is done.
    mutating func startLink() -> NodeID? {
        guard linksUnderWay.count < Self.linksMaximum, let link = links.takeFirst() else {
            return nil
        }
        linksUnderWay.insert(link)
        return link
    }

    mutating func finishLink(_ link: NodeID) { linksUnderWay.remove(link) }
}

/// Objects that wait for their turn, each once, the newest first: they are nearest to where a client is now.
/// When there are too many the last are dropped; they are suggested again when a client comes nearer.
private struct WaitingList {
    private static let countMaximum = 64
    private var objects: [NodeID] = []

    mutating func add(_ new: [NodeID]) {
        objects.removeAll(where: new.contains)
        objects.insert(contentsOf: new, at: 0)
        if objects.count > Self.countMaximum {
            objects.removeLast(objects.count - Self.countMaximum)
        }
    }

    mutating func takeFirst() -> NodeID? { objects.isEmpty ? nil : objects.removeFirst() }

    mutating func remove(_ object: NodeID) { objects.removeAll { $0 == object } }
}

/// The last elements that were inserted: at least half of its capacity, at most all of it.
struct RecentSet<Element: Hashable> {
    private let capacity: Int
    private var current: Set<Element> = []
    private var earlier: Set<Element> = []

    init(capacity: Int) { self.capacity = capacity }

    func contains(_ element: Element) -> Bool {
        current.contains(element) || earlier.contains(element)
    }

    mutating func insert(_ element: Element) {
        guard current.insert(element).inserted, current.count >= capacity / 2 else { return }
        earlier = current
        current.removeAll(keepingCapacity: true)
    }
}
