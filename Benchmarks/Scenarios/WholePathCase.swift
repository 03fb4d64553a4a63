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
    var sizeBytes = 4096
    let inFlight: Int
    var client = Load.Client.libnfs
    /// The file of 1 GiB that the acceptance is about, not one of `--file-size`.
    var isLarge = false
    /// Places in the file that do not follow one another.
    var isRandom = false
    /// The directory of ``Lab/entryCount`` entries, of which the session removed and added some.
    var isMerged = false
    /// What the ratio to nfs-ganesha counts for.
    var row: GoalRow?
    /// What the server's processor time per call counts for.
    var processorRow: GoalRow?

    var measure: Comparison.Measure {
        switch operation {
        case .read, .write: .bytes
        case .readdirplus: .entries
        default: .calls
        }
    }

    /// Whether nfs-ganesha must export something that may be changed.
    var changes: Bool { operation == .write || operation == .createRemove }

    var name: String {
        let operation =
            operation == .createRemove ? "CREATE+REMOVE" : operation.rawValue.uppercased()
        let size = sizeBytes >= 1 << 20 ? "\(sizeBytes >> 20)M" : "\(sizeBytes >> 10)K"
        let hasSize = measure != .calls
        return "\(route.rawValue) \(operation)" + (hasSize ? " \(size)" : "") + " x\(inFlight)"
            + (isLarge ? " of 1 GiB" : "") + (isRandom ? " at random" : "")
            + (isMerged ? " of 10,000" : "") + (client == .raw ? ", raw" : "")
    }

    private static let small = [4 << 10, 32 << 10, 64 << 10]
    private static let large = 1 << 20
    private static let depths = [1, 8, 32]

    // MARK: Sections

    /// What is in the shadow, in the cache or in a directory of this machine.
    static let reads =
        [Route.shadow, .cached, .directory].flatMap { route in
            transfers(route, .read, large: .readHitsLarge) { size, depth in
                depth == 1 ? .readHitsAlone : .readHits
            }
                + small.filter { $0 == 4096 }.flatMap { size in
                    // libnfs itself is half of the work here.
                    [8, 32].map { depth in
                        WholePathCase(
                            route: route, operation: .read, sizeBytes: size, inFlight: depth,
                            client: .raw)
                    }
                }
        } + [
            WholePathCase(
                route: .cached, operation: .read, sizeBytes: 32 << 10, inFlight: 8, isLarge: true,
                row: .readHits),
            WholePathCase(
                route: .cached, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                isRandom: true),
        ]

    /// WRITEs go to the shadow whatever the image is.
    static let writes = transfers(.shadow, .write, large: .writesLarge) { _, depth in
        depth == 8 ? .writes : nil
    }

    static let passThrough =
        transfers(.passThrough, .read, large: nil) { _, depth in
            switch depth {
            case 1: .passThroughAlone
            case 8: .passThrough
            default: nil
            }
        } + [
            WholePathCase(
                route: .passThrough, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                isLarge: true, row: .passThrough),
            // Nothing adjoins here: each is a READ of main.
            WholePathCase(
                route: .passThrough, operation: .read, sizeBytes: 32 << 10, inFlight: 8,
                isRandom: true, row: .passThrough),
            WholePathCase(
                route: .cold, operation: .read, sizeBytes: 32 << 10, inFlight: 8, isLarge: true,
                row: .cacheFill),
        ]

    /// Of every size with so many in flight as clients have.
    private static func transfers(
        _ route: Route, _ operation: Load.Operation, large row: GoalRow?,
        small rowOf: (_ size: Int, _ depth: Int) -> GoalRow?
    ) -> [WholePathCase] {
        (small + [large]).flatMap { size in
            depths.map { depth in
                WholePathCase(
                    route: route, operation: operation, sizeBytes: size, inFlight: depth,
                    row: size == large ? row ?? rowOf(size, depth) : rowOf(size, depth),
                    processorRow: operation == .read && size == 32 << 10 && depth == 8
                        ? (route == .passThrough ? .cpuForwarded : .cpuRead) : nil)
            }
        }
    }

    static let names =
        [Route.shadow, .directory, .passThrough].flatMap { route in
            [Load.Operation.getattr, .lookup, .access].flatMap { operation in
                // With libnfs it is the client that is busy, so that its ratio is shown but does not count.
                [
                    WholePathCase(route: route, operation: operation, inFlight: 32),
                    WholePathCase(
                        route: route, operation: operation, inFlight: 32, client: .raw,
                        row: .attributes,
                        processorRow: operation == .getattr ? .cpuAttributes : nil),
                ]
            } + [
                // Durable with us when it is answered, not with nfs-ganesha: hence without a goal.
                WholePathCase(route: route, operation: .createRemove, inFlight: 8)
            ]
        }
        + [Route.directory, .passThrough].flatMap { route in
            [(1, Load.Client.libnfs), (1, .raw), (8, .raw)].map { depth, client in
                WholePathCase(
                    route: route, operation: .readdirplus, sizeBytes: 32 << 10, inFlight: depth,
                    client: client, isMerged: true, row: .listing)
            }
        }
}
