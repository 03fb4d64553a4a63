import NIOCore

/// Keeps listings of main from taking more than a third of the time while clients read and write: a directory
/// without end, and those who list it, would leave little of it to others.
struct ListingPace {
    /// READs and WRITEs of clients so far.
    private let dataCalls: () -> Int
    /// No page is to be asked for before.
    private var next = NIODeadline.distantPast
    private var lastLook = (time: NIODeadline.distantPast, calls: 0)
    private var areOthersThere = false

    /// How often it is looked whether clients read and write, and how much at least they do then.
    static let lookInterval = TimeAmount.milliseconds(50)
    static let dataCallsMinimum = 16
    /// What is waited for at most. A page that took longer waited for a disk.
    static let pauseMaximum = TimeAmount.milliseconds(40)

    init(dataCalls: @escaping () -> Int) { self.dataCalls = dataCalls }

    /// A page was taken in.
    mutating func took(in begun: NIODeadline, _ end: NIODeadline) {
        if end >= lastLook.time + Self.lookInterval {
            let calls = dataCalls()
            areOthersThere = calls - lastLook.calls >= Self.dataCallsMinimum
            lastLook = (end, calls)
        }
        guard areOthersThere else { return }
        next = min(max(next, end) + (end - begun) * 2, end + Self.pauseMaximum)
    }

    /// - Returns: when to ask for a page; nil for at once.
    func delay(at now: NIODeadline) -> NIODeadline? { next > now ? next : nil }
}
