import NFSProtocol
import ROWCore

/// Calls by procedure name, those that were made, on each side of the proxy.
public struct CallCounts: Codable, Sendable, Equatable {
    /// By clients of the session.
    public var client: [String: Int] = [:]
    /// To main, for all sessions of the process that served this one.
    public var main: [String: Int] = [:]
    /// To the session's shadow.
    public var shadow: [String: Int] = [:]

    public init() {}

    init(client: [String: Int], main: [String: Int], shadow: [String: Int]) {
        self.client = client
        self.main = main
        self.shadow = shadow
    }

    /// The sides, in the order in which a call passes them.
    public static var sides: [(name: String, counts: WritableKeyPath<CallCounts, [String: Int]>)] {
        [("client", \.client), ("main", \.main), ("shadow", \.shadow)]
    }

    public static func + (counts: CallCounts, more: CallCounts) -> CallCounts {
        combine(counts, more, +)
    }

    public static func - (counts: CallCounts, earlier: CallCounts) -> CallCounts {
        combine(counts, earlier, -)
    }

    private static func combine(
        _ first: CallCounts, _ second: CallCounts, _ operation: (Int, Int) -> Int
    ) -> CallCounts {
        var result = CallCounts()
        for (_, side) in sides {
            let (one, other) = (first[keyPath: side], second[keyPath: side])
            for name in Set(one.keys).union(other.keys) {
                let count = operation(one[name] ?? 0, other[name] ?? 0)
                if count > 0 { result[keyPath: side][name] = count }
            }
        }
        return result
    }
}

extension SessionState.ShadowCalls {
    /// Under the names of the procedures that a server would be called by, those that were made.
    var byName: [String: Int] {
        [
            "READ": reads, "WRITE": writes, "COMMIT": syncs, "SETATTR": truncates,
            "CREATE": creates, "REMOVE": removes,
        ].filter { $0.value > 0 }
    }

    var total: Int { reads + writes + syncs + truncates + creates + removes }
}
