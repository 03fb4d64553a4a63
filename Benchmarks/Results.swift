/// A part of the program measured alone.
struct PartResult: Encodable {
    let name: String
    let nanosecondsPerOperation: Samples
    let goal: Goal?
}

/// The whole path beside nfs-ganesha.
struct Comparison: Encodable {
    /// One server under the load.
    struct Side: Encodable {
        let callsPerSecond: Samples
        let megabytesPerSecond: Samples
        /// Of listings.
        let entriesPerSecond: Samples
        /// Processor time of the server, without main's.
        let serverMicrosecondsPerCall: Samples
        let latency: Latencies
    }

    let section: Section
    let name: String
    let rowfs: Side
    let ganesha: Side
    /// Of the medians; above 1 is faster than nfs-ganesha.
    let ratio: Double
    /// Of the measurements that were made one after the other.
    let ratioOfRounds: Samples
    /// Of the ratio.
    let goal: Goal?
    /// Whether the ratio is what it should be; nil without a goal.
    let isMet: Bool?
    /// What the case is about: its speed is that.
    let measure: Measure

    enum Measure: String, Encodable, Sendable {
        case calls, bytes, entries
    }

    init(
        section: Section, name: String, measure: Measure, rowfs: [Load.Result],
        ganesha: [Load.Result], goal: Goal?
    ) {
        self.section = section
        self.name = name
        self.measure = measure
        self.rowfs = Side(rowfs)
        self.ganesha = Side(ganesha)
        self.goal = goal
        ratio = self.rowfs.speed(measure).median / self.ganesha.speed(measure).median
        ratioOfRounds = Samples(
            zip(rowfs, ganesha).map { $0.speed(measure) / $1.speed(measure) })
        isMet = goal?.isMet(by: ratio)
    }
}

extension Comparison.Side {
    init(_ results: [Load.Result]) {
        self.init(
            callsPerSecond: Samples(results.map(\.callsPerSecond)),
            megabytesPerSecond: Samples(results.map(\.megabytesPerSecond)),
            entriesPerSecond: Samples(results.map(\.entriesPerSecond)),
            serverMicrosecondsPerCall: Samples(results.map(\.serverUsPerCall)),
            latency: Latencies(together: results.map(\.latency)))
    }

    func speed(_ measure: Comparison.Measure) -> Samples {
        switch measure {
        case .calls: callsPerSecond
        case .bytes: megabytesPerSecond
        case .entries: entriesPerSecond
        }
    }
}

extension Load.Result {
    func speed(_ measure: Comparison.Measure) -> Double {
        switch measure {
        case .calls: callsPerSecond
        case .bytes: megabytesPerSecond
        case .entries: entriesPerSecond
        }
    }
}

/// Many clients beside one, of one server.
struct Scaling: Encodable {
    let name: String
    let one: Double
    let many: Double
    /// Of the ratio.
    let goal: Goal?
    /// Of many to one.
    let ratio: Double
    let isMet: Bool?

    init(name: String, one: Double, many: Double, goal: Goal?) {
        self.name = name
        self.one = one
        self.many = many
        self.goal = goal
        ratio = many / one
        isMet = goal?.isMet(by: ratio)
    }
}

/// What a program needed for a case, or why it could not do it.
struct Measured: Encodable {
    let section: Section
    let name: String
    /// The program, and how it was reached.
    let side: String
    let unit: String
    /// Nil when it could not.
    let samples: Samples?
    /// To what the case names as its measure, such as nfs-ganesha.
    var ratio: Double?
    var note: String?
    /// Of the ratio.
    var goal: Goal?
}
