import Foundation
import Synchronization

/// The catalogue in a distributed hash table (OpenDHT), of which this machine runs a node as long as this
/// lives.
final class DHTStore: CatalogueStore {
    /// Between attempts, while the node is not in the network yet or nobody answers.
    private static let pause = Duration.milliseconds(250)
    /// Nodes forget values after ten minutes.
    let refreshInterval: Duration? = .seconds(180)
    let lifeDefault: Int64 = 600

    /// A node that still gets to know others may not know those that have the values: that it finds nothing
    /// proves nothing until it has known no more for so long.
    private static let settlingTime = Duration.seconds(3)

    private let program: DHTProgram
    /// The most good nodes that were known, and since when.
    private let known = Mutex((nodes: 0, since: ContinuousClock.now))
    /// Bytes of values that one reading looks at.
    private let readBytesMaximum: Int

    init(_ settings: DHTSettings, readBytesMaximum: Int = 16 << 20) throws(CatalogueError) {
        program = try DHTProgram(settings.command)
        self.readBytesMaximum = readBytesMaximum
    }

    func get(_ key: CatalogueKey, now: Int64, within limit: Duration) async -> Reading {
        let selection = Mutex(Selection(key, now: now))
        let end = ContinuousClock.now + limit
        var reading = Reading(selection: Selection(key, now: now), incompleteness: "")
        repeat {
            do {
                let rest = max(end - .now, .milliseconds(100))
                let answer = try await program.call(
                    DHTRequest(
                        get: Self.hexadecimal(key), limit: readBytesMaximum,
                        size: SignedRecord.sizeMaximum, deadline: rest / .seconds(1)),
                    within: rest
                ) { value in
                    selection.withLock { $0.offer(value) }
                }
                selection.withLock { $0.ignoreOversized(answer.oversized ?? 0) }
                reading.nodes = answer.nodes
                reading.incompleteness = Self.incompleteness(answer)
                let isEmpty = selection.withLock { $0.records.isEmpty }
                let isSettled = isSettled(answer.nodes ?? 0)
                if answer.ok == true, !isEmpty || isSettled { break }
            } catch {
                reading.incompleteness = error.message
            }
        } while await Self.mayTryAgain(until: end)
        reading.selection = selection.withLock { $0 }
        return reading
    }

    private func isSettled(_ nodes: Int) -> Bool {
        known.withLock { known in
            let now = ContinuousClock.now
            if nodes > known.nodes { known = (nodes, now) }
            return now - known.since >= Self.settlingTime
        }
    }

    func put(_ record: SignedRecord, within limit: Duration) async throws(CatalogueError) {
        try await put(record.bytes, under: record.record.key, within: limit)
    }

    /// Adds any bytes, as anybody can.
    func put(
        _ bytes: [UInt8], under key: CatalogueKey, within limit: Duration
    ) async throws(CatalogueError) {
        let end = ContinuousClock.now + limit
        var reason = ""
        repeat {
            do {
                let rest = max(end - .now, .milliseconds(100))
                let answer = try await program.call(
                    DHTRequest(
                        put: Self.hexadecimal(key),
                        value: Data(bytes).base64EncodedString(),
                        deadline: rest / .seconds(1)), within: rest)
                if answer.ok == true { return }
                reason = answer.error ?? "no node of the DHT answers"
            } catch {
                reason = error.message
            }
        } while await Self.mayTryAgain(until: end)
        throw CatalogueError(
            .notWritten,
            "cannot write to the catalogue: \(reason); are the nodes that --catalogue names up, and is UDP "
                + "let through?")
    }

    func close() async { await program.stop() }

    private static func incompleteness(_ answer: DHTAnswer) -> String? {
        if let error = answer.error { return error }
        guard answer.ok == true else {
            return "no node of the DHT answers, or not all that were asked did in time"
        }
        guard let dropped = answer.dropped, dropped > 0 else { return nil }
        return "\(dropped) values more than can be looked at are under this key"
    }

    private static func mayTryAgain(until end: ContinuousClock.Instant) async -> Bool {
        guard end - .now > pause, !Task.isCancelled else { return false }
        do { try await Task.sleep(for: pause) } catch { return false }
        return true
    }

    private static func hexadecimal(_ key: CatalogueKey) -> String {
        key.digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
