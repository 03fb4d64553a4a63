import NIOCore

/// Keeps listings of main from taking more than a third of the time while clients do other things: a directory without
/// end, and those who list it, would leave little of it to others.
struct ListingPace {
    /// Calls of clients so far that list nothing.
    private let otherCalls: () -> Int
    /// No page is to be asked for before.
    private var next = NIODeadline.distantPast
    private var callsBefore = 0

    /// Other calls of clients while a page came in, from which on others count as being there.
    static let othersMinimum = 64
    /// A page that took longer did not for its work, but waited.
    static let pauseMaximum = TimeAmount.milliseconds(40)

    init(otherCalls: @escaping () -> Int) { self.otherCalls = otherCalls }

    /// A page was taken in.
    mutating func took(in begun: NIODeadline, _ end: NIODeadline) {
        let calls = otherCalls()
        defer { callsBefore = calls }
        guard calls - callsBefore >= Self.othersMinimum else { return }
        next = max(next, end) + min((end - begun) * 2, Self.pauseMaximum)
    }

    /// - Returns: when to ask for a page; nil for at once.
    func delay(at now: NIODeadline) -> NIODeadline? { next > now ? next : nil }
}
