/// A load on the whole path, made on a session and on nfs-ganesha in turns.
struct WholePathCase: Sendable {
    /// What is between the client and the data.
    enum Route: String, Sendable {
        /// A file that the session has not changed, without a cache: every READ goes to main and back.
        case passThrough = "pass-through"
        /// The same with all of the file in the cache.
        case cached
        /// The same with nothing in the cache: the file is read once, from its beginning to its end.
        case cold
        /// The image is a directory of this machine.
        case directory
        /// A file that the session has overwritten: main is not asked.
        case shadow
    }

    let route: Route
    let operation: Load.Operation
    let sizeBytes: Int
    let inFlight: Int
    /// The file of 1 GiB that the acceptance is about, not one of `--file-size`.
    var isLarge = false
    /// Places in the file that do not follow one another.
    var isRandom = false
    /// Of the ratio to nfs-ganesha.
    var goal: Goal?

    var movesData: Bool { operation == .read || operation == .write }
    /// Whether nfs-ganesha must export something that may be changed.
    var changes: Bool { operation == .write || operation == .create }

    var name: String {
        let operation = operation == .create ? "CREATE+REMOVE" : operation.rawValue.uppercased()
        let size = sizeBytes >= 1 << 20 ? "\(sizeBytes >> 20)M" : "\(sizeBytes >> 10)K"
        return "\(route.rawValue) \(operation)" + (movesData ? " \(size)" : "") + " x\(inFlight)"
            + (isLarge ? " of 1 GiB" : "") + (isRandom ? " at random" : "")
    }

    static let all: [WholePathCase] = acceptance + reads + writes + names

    private static let sizes = [4 << 10, 32 << 10, 64 << 10, 1 << 20]
    private static let depths = [1, 8, 32]
    private static let routes = [Route.shadow, .directory, .passThrough]

    private static let acceptance = [
        WholePathCase(
            route: .passThrough, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
            isLarge: true, goal: .atLeast(0.6)),
        WholePathCase(
            route: .cached, operation: .read, sizeBytes: 32 << 10, inFlight: 8, isLarge: true,
            goal: .atLeast(1)),
        WholePathCase(
            route: .cold, operation: .read, sizeBytes: 32 << 10, inFlight: 8, isLarge: true),
    ]

    private static let reads =
        routes.flatMap { route in
            transfers(route, .read, goal: .atLeast(route == .passThrough ? 0.7 : 1))
        } + [
            // To be compared with the shadow's.
            WholePathCase(
                route: .cached, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                goal: .atLeast(1)),
            WholePathCase(
                route: .cached, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                isRandom: true),
            // Nothing adjoins here: each is a READ of main.
            WholePathCase(
                route: .passThrough, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                isRandom: true),
        ]

    /// WRITEs go to the shadow whatever the image is.
    private static let writes = transfers(.shadow, .write, goal: .atLeast(1))

    /// Of every size with so many in flight as a client has; the goal is that of eight.
    private static func transfers(
        _ route: Route, _ operation: Load.Operation, goal: Goal
    ) -> [WholePathCase] {
        sizes.flatMap { size in
            depths.map { depth in
                WholePathCase(
                    route: route, operation: operation, sizeBytes: size, inFlight: depth,
                    goal: depth == 8 ? goal : nil)
            }
        }
    }

    private static let names = routes.flatMap { route in
        [Load.Operation.getattr, .lookup, .access].map { operation in
            WholePathCase(
                route: route, operation: operation, sizeBytes: 4096, inFlight: 32,
                goal: .atLeast(2))
        } + [
            WholePathCase(
                route: route, operation: .readdirplus, sizeBytes: 32 << 10, inFlight: 8),
            // Durable with us when it is answered, not with nfs-ganesha: hence without a goal.
            WholePathCase(route: route, operation: .create, sizeBytes: 4096, inFlight: 8),
        ]
    }
}
