import ONCRPC
import Testing

@Suite struct CallTableTests {
    private func begin(
        _ context: String, deadline: UInt64, in table: inout CallTable<String>
    ) throws -> UInt32 {
        let xid = table.begin(context, deadline: deadline)
        return try #require(xid)
    }

    private func taken(_ calls: [(xid: UInt32, context: String)]) -> [String] {
        calls.map(\.context)
    }

    private func completed(_ action: CallTable<String>.ReplyAction) -> String? {
        switch action {
        case .complete(let context): context
        case .dropUnknown: nil
        }
    }

    @Test func aReplyCompletesItsCallOnce() throws {
        var table = CallTable<String>(capacity: 4)
        let first = try begin("a", deadline: 1, in: &table)
        let second = try begin("b", deadline: 1, in: &table)
        #expect(first != second)
        #expect(table.context(of: second) == "b")
        #expect(completed(table.received(xid: second)) == "b")
        #expect(completed(table.received(xid: second)) == nil)
        #expect(completed(table.received(xid: first)) == "a")
        #expect(table.isEmpty)
    }

    @Test func itHoldsItsCapacityAndNoMore() throws {
        var table = CallTable<String>(capacity: 3)
        #expect(table.capacity == 4)
        var xids: [UInt32] = []
        for index in 0..<4 { xids.append(try begin("\(index)", deadline: 1, in: &table)) }
        #expect(table.isFull)
        #expect(table.begin("x", deadline: 1) == nil)
        #expect(Set(xids.map { table.slot(of: $0) }) == [0, 1, 2, 3])
        #expect(table.remove(xid: xids[2]) == "2")
        let reused = try begin("x", deadline: 1, in: &table)
        #expect(table.slot(of: reused) == table.slot(of: xids[2]))
        #expect(reused != xids[2])
        #expect(table.context(of: xids[2]) == nil)
    }

    @Test func aLateReplyToAnEarlierCallOfTheSlotIsDropped() throws {
        var table = CallTable<String>(capacity: 1, firstGeneration: .max)
        let early = try begin("early", deadline: 1, in: &table)
        #expect(taken(table.expire(now: 1)) == ["early"])
        let late = try begin("late", deadline: 9, in: &table)
        #expect(completed(table.received(xid: early)) == nil)
        #expect(completed(table.received(xid: late)) == "late")
    }

    @Test func callsExpireAtTheirDeadlineInTheOrderTheyBegan() throws {
        var table = CallTable<String>(capacity: 8)
        for (context, deadline) in [("a", 30), ("b", 10), ("c", 20), ("d", 10)] {
            _ = try begin(context, deadline: UInt64(deadline), in: &table)
        }
        #expect(table.nextDeadline == 10)
        #expect(table.expire(now: 9).isEmpty)
        #expect(taken(table.expire(now: 20)) == ["b", "c", "d"])
        #expect(table.nextDeadline == 30)
        #expect(taken(table.removeAll()) == ["a"])
        #expect(table.nextDeadline == nil)
    }

    @Test func retransmissionKeepsXidsAndOrder() throws {
        var table = CallTable<String>(capacity: 4)
        let a = try begin("a", deadline: 1, in: &table)
        let b = try begin("b", deadline: 1, in: &table)
        let c = try begin("c", deadline: 1, in: &table)
        _ = table.received(xid: a)
        let d = try begin("d", deadline: 1, in: &table)
        #expect(table.slot(of: d) == table.slot(of: a))
        #expect(table.xidsInOrder == [b, c, d])
    }

    /// Against a dictionary: begin, answer, cancel and expire in random order, xids never repeating
    /// while a call is in flight.
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func randomUseAgreesWithADictionary(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let first = UInt32.random(in: 0 ... .max, using: &generator)
        var table = CallTable<Int>(capacity: 16, firstGeneration: first)
        var model: [UInt32: (context: Int, deadline: UInt64)] = [:]
        var old: [UInt32] = []
        var now: UInt64 = 0
        for step in 0..<4000 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                let deadline = now + .random(in: 1...50, using: &generator)
                if let xid = table.begin(step, deadline: deadline) {
                    #expect(model[xid] == nil, "seed \(seed)")
                    model[xid] = (step, deadline)
                } else {
                    #expect(model.count == 16, "seed \(seed)")
                }
            case 5..<8:
                guard let xid = model.keys.sorted().randomElement(using: &generator) else { break }
                #expect(table.remove(xid: xid) == model.removeValue(forKey: xid)?.context)
                old.append(xid)
            case 8:
                guard let xid = old.randomElement(using: &generator), model[xid] == nil else {
                    break
                }
                #expect(table.remove(xid: xid) == nil, "seed \(seed)")
            default:
                now += .random(in: 1...20, using: &generator)
                let gone = model.filter { $0.value.deadline <= now }
                let expired = table.expire(now: now).map(\.context)
                #expect(expired == gone.values.map(\.context).sorted(), "seed \(seed)")
                for xid in gone.keys { model[xid] = nil }
            }
            #expect(table.count == model.count, "seed \(seed)")
            #expect(table.nextDeadline == model.values.map(\.deadline).min(), "seed \(seed)")
        }
    }
}
