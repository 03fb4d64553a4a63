/// What a figure should be.
enum Goal: CustomStringConvertible, Encodable, Sendable {
    case atLeast(Double)
    case atMost(Double)

    var description: String {
        switch self {
        case .atLeast(let bound): ">= \(bound)"
        case .atMost(let bound): "<= \(bound)"
        }
    }

    var bound: Double {
        switch self {
        case .atLeast(let bound), .atMost(let bound): bound
        }
    }

    func isMet(by figure: Double) -> Bool {
        switch self {
        case .atLeast(let bound): figure >= bound
        case .atMost(let bound): figure <= bound
        }
    }

    /// How far a figure is on the good side; the least of several is the one that counts.
    func margin(of figure: Double) -> Double {
        switch self {
        case .atLeast(let bound): figure / bound
        case .atMost(let bound): bound / figure
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The goals of the program: the rows of the table that is printed last. Several cases may serve one; the
/// worst counts.
enum GoalRow: String, CaseIterable, Sendable {
    case readHits, readHitsLarge, oneStream, readHitsAlone
    case writes, writesLarge
    case attributes, listing, changes
    case passThrough, passThroughAlone, cacheFill
    case firstWriteSame, firstWrite, stored, overwrites, renameDirectory
    case halfSequential, halfRandom
    case memoryTouched, memoryKnown, fairness
    case cpuAttributes, cpuRead, cpuForwarded

    var title: String {
        switch self {
        case .readHits: "READ hits, 4K-64K, 8 and 32 in flight, to ganesha's"
        case .readHitsLarge: "READ hits, 1 MiB, to ganesha's"
        case .oneStream: "READ hits, 1 MiB, one stream, to iperf3's"
        case .readHitsAlone: "READ hits, 1 in flight, to ganesha's"
        case .writes: "WRITE into the shadow, 4K-64K x8, to ganesha's"
        case .writesLarge: "WRITE into the shadow, 1 MiB, to ganesha's"
        case .attributes: "GETATTR, LOOKUP, ACCESS x32, to ganesha's"
        case .listing: "READDIRPLUS, 10,000 merged entries, to ganesha's"
        case .changes: "CREATE, REMOVE, RENAME, strict, x16, to ganesha's"
        case .passThrough: "pass-through, cache off, x8, to ganesha's"
        case .passThroughAlone: "pass-through, cache off, x1, to ganesha's"
        case .cacheFill: "pass-through, filling the cache, to ganesha's"
        case .firstWriteSame: "first write + COMMIT: size furthest from the mean"
        case .firstWrite: "first write + COMMIT: time to ganesha's plain one"
        case .stored: "stored after 6,000 overwrites, to the data"
        case .overwrites: "2,000 random overwrites x1, to ganesha's"
        case .renameDirectory: "rename of 1,000 files' directory: time to ganesha's"
        case .halfSequential: "half-modified, sequential 64K READ, to its twin's"
        case .halfRandom: "half-modified, random 4K READ, to its twin's"
        case .memoryTouched: "memory, 31,000 files touched, MiB above idle"
        case .memoryKnown: "memory, 100,000 files of 1 million, MiB above idle"
        case .fairness: "1,000 connections: slowest to mean"
        case .cpuAttributes: "CPU of GETATTR x32, microseconds"
        case .cpuRead: "CPU of READ 32K hit x8, microseconds"
        case .cpuForwarded: "CPU of forwarded READ 32K x8, microseconds"
        }
    }

    var goal: Goal {
        switch self {
        case .readHits, .writes: .atLeast(2.5)
        case .readHitsLarge: .atLeast(1)
        case .oneStream, .halfSequential: .atLeast(0.8)
        case .readHitsAlone, .writesLarge, .changes, .overwrites: .atLeast(1.5)
        case .attributes: .atLeast(6)
        case .listing: .atLeast(2)
        case .passThrough: .atLeast(0.75)
        case .passThroughAlone: .atLeast(0.6)
        case .cacheFill: .atLeast(0.65)
        case .firstWriteSame: .atMost(0.2)
        case .firstWrite, .cpuAttributes: .atMost(1.5)
        case .stored: .atMost(1.05)
        case .renameDirectory: .atMost(2)
        case .halfRandom: .atLeast(0.9)
        case .memoryTouched: .atMost(20)
        case .memoryKnown: .atMost(64)
        case .fairness: .atLeast(0.5)
        case .cpuRead: .atMost(12)
        case .cpuForwarded: .atMost(20)
        }
    }
}
