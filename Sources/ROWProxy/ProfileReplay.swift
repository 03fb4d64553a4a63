import NFSProtocol
import ROWCore

/// Fetches what a ``Profile`` names, in its order.
///
/// Loop-confined.
final class ProfileReplay {
    private let image: ImageStore
    private var rest: ArraySlice<(path: [UInt8], access: Profile.Access)>
    private let onEvent: (String) -> Void
    private var missing = 0
    /// What the first access waits for.
    private var needed: Fetch?
    /// Of a file's blocks this many are one fetch.
    private static let blocksAtOnce: UInt64 = 4

    init(_ profile: Profile, image: ImageStore, onEvent: @escaping (String) -> Void) {
        self.image = image
        rest = profile.accesses[...]
        self.onEvent = onEvent
    }

    /// What carries it out, and keeps this for as long.
    func run() -> Prefetcher.Run {
        Prefetcher.Run(next: next, failed: failed, ended: ended)
    }

    private func next() -> Prefetcher.Next {
        var steps = 0
        while let (path, access) = rest.first {
            steps += 1
            guard steps <= Prefetcher.stepsInTurn else { return .goOn }
            do throws(Interrupt) {
                guard let id = try image.find(path) else {
                    missing += 1
                    rest.removeFirst()
                    continue
                }
                if let item = try item(id, access) { return item }
            } catch {
                switch error {
                case .need(.lookup(let directory, _)):
                    // More of its names are likely to follow.
                    return need(.listing(directory: directory))
                case .need(let fetch): return need(fetch)
                default:
                    missing += 1
                    rest.removeFirst()
                }
            }
        }
        return .end
    }

    /// What is to be fetched next for the first access; nil when it is done with.
    private func item(
        _ id: NodeID, _ access: Profile.Access
    ) throws(Interrupt) -> Prefetcher.Next? {
        switch access {
        case .list:
            if !image.isComplete(id) { return need(.listing(directory: id)) }
            rest.removeFirst()
            return nil
        case .link:
            rest.removeFirst()
            return image.has(.target(id)) ? nil : .item(.target(id))
        case .read(let blocks):
            guard let attributes = image.attributes(of: id), attributes.type == .regular,
                let layout = CacheLayout(id: id, attributes: attributes),
                blocks.lowerBound < layout.blockCount
            else {
                rest.removeFirst()
                return nil
            }
            let all = blocks.clamped(to: 0..<layout.blockCount)
            let now = all.prefix(Int(Self.blocksAtOnce))
            if now.endIndex < all.upperBound {
                rest[rest.startIndex].access = .read(now.endIndex..<all.upperBound)
            } else {
                rest.removeFirst()
            }
            return .item(.blocks(layout, now.startIndex..<now.endIndex))
        }
    }

    private func need(_ fetch: Fetch) -> Prefetcher.Next {
        needed = fetch
        return .need(fetch, with: listingsAhead())
    }

    /// Listings that come soon and whose directories are known.
    private func listingsAhead() -> [Fetch] {
        rest.dropFirst().prefix(256).lazy.filter { $0.access == .list }.compactMap { access in
            guard let id = (try? self.image.find(access.path)) ?? nil, !self.image.isComplete(id)
            else { return nil }
            return .listing(directory: id)
        }.filter { $0 != self.needed }.prefix(32).map(\.self)
    }

    /// A main that is away is waited for; what it cannot give is left out.
    private func failed(_ fetch: Fetch?, _ status: NFS3.Status) -> Bool {
        if status != .jukebox, let fetch, fetch == needed {
            missing += 1
            rest = rest.dropFirst()
        }
        return true
    }

    private func ended(_ progress: Prefetcher.Progress) {
        onEvent(
            "the profile has been fetched: \(progress.items) pieces, \(progress.fetched) bytes"
                + (missing > 0 ? "; \(missing) are not in this image" : ""))
    }
}
