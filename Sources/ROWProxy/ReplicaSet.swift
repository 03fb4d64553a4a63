/// Which of the servers that have an image is asked: hears what becomes of them, and decides. They are
/// known by their places in the list that was given.
struct ReplicaSet: Sendable {
    /// What a server is good for.
    enum State: Sendable, Equatable {
        case disconnected
        case connecting
        /// Whether it has the image is being found out.
        case checking
        case ready
        /// It has something else.
        case refused
    }

    struct Member: Sendable {
        fileprivate(set) var state = State.disconnected
        /// Of small calls, smoothed, in nanoseconds; nil until one was measured.
        fileprivate(set) var roundTrip: Int64?
    }

    private(set) var members: [Member]
    /// Who is asked first; nil when none is ready.
    private(set) var active: Int?
    /// Who was clearly better than the active one, and for how many rounds of probes.
    private var challenger: (index: Int, rounds: Int)?

    /// Another is preferred once it has been clearly better for so many rounds of probes in sequence:
    /// a change costs lookups, and a short disturbance is none of its business.
    static let roundsUntilChange = 3
    /// Differences that nobody notices, in nanoseconds.
    static let roundTripMargin: Int64 = 500_000

    init(count: Int) { members = Array(repeating: Member(), count: count) }

    /// One more, at the end of the list.
    mutating func add() { members.append(Member()) }

    mutating func set(_ state: State, of index: Int) {
        if state != .ready { members[index].roundTrip = nil }
        members[index].state = state
        if challenger?.index == index, state != .ready { challenger = nil }
        if active == nil || active.map({ members[$0].state != .ready }) == true {
            active = best()
            challenger = nil
        }
    }

    /// - Parameter isBusy: whether other calls were under way there, behind whose replies this one may
    ///   have waited: then it only tells when it was fast.
    mutating func measured(_ nanoseconds: Int64, at index: Int, isBusy: Bool) {
        guard members[index].state == .ready else { return }
        guard let before = members[index].roundTrip else {
            members[index].roundTrip = nanoseconds
            return
        }
        if isBusy, nanoseconds >= before { return }
        members[index].roundTrip = before + (nanoseconds - before) / 4
    }

    /// All that are ready have been measured once more.
    mutating func endRound() {
        guard let active, let mine = members[active].roundTrip, let best = best(), best != active,
            let theirs = members[best].roundTrip, theirs * 2 < mine,
            mine - theirs > Self.roundTripMargin
        else {
            challenger = nil
            return
        }
        let rounds = challenger?.index == best ? (challenger?.rounds ?? 0) + 1 : 1
        challenger = (best, rounds)
        if rounds >= Self.roundsUntilChange {
            self.active = best
            challenger = nil
        }
    }

    /// Who is asked next.
    /// - Parameter tried: those that were asked already.
    func choose(excluding tried: Set<Int> = []) -> Int? {
        if let active, !tried.contains(active) { return active }
        return best(excluding: tried)
    }

    func hasReady(besides index: Int) -> Bool {
        members.indices.contains { $0 != index && members[$0].state == .ready }
    }

    private func best(excluding tried: Set<Int> = []) -> Int? {
        members.indices.filter { members[$0].state == .ready && !tried.contains($0) }
            .min { roundTrip($0) < roundTrip($1) }
    }

    /// The first of equal ones is the one that was named first.
    private func roundTrip(_ index: Int) -> Int64 { members[index].roundTrip ?? .max }
}
