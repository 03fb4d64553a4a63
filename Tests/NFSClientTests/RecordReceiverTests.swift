import NIOCore
import ONCRPC
import ROWTestKit
import Testing

@testable import NFSClient

@Suite struct RecordReceiverTests {
    private func fragment(_ body: [UInt8], last: Bool) -> [UInt8] {
        let mark = UInt32(body.count) | (last ? RPC.lastFragment : 0)
        return withUnsafeBytes(of: mark.bigEndian) { Array($0) } + body
    }

    @Test func aRecordWithinOneBufferIsASliceOfIt() throws {
        var receiver = RecordReceiver()
        let buffer = ByteBuffer(bytes: fragment([1, 2, 3], last: true))
        let bodyAddress = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) + 4 }
        receiver.receive(buffer)
        let next = try receiver.next()
        let record = try #require(next)
        #expect(Array(record.readableBytesView) == [1, 2, 3])
        #expect(
            record.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == bodyAddress)
        #expect(try receiver.next() == nil)
    }

    @Test func aRecordOverTheLimitIsRefusedBeforeItsBytesArrive() {
        var receiver = RecordReceiver()
        receiver.receive(ByteBuffer(integer: UInt32.max))
        #expect(throws: RecordError(.recordTooLong, found: 0, maximum: 0)) {
            try receiver.next()
        }
    }

    /// Random records in random fragments, in receive buffers of random sizes, come out whole.
    @Test func recordsAcrossBuffersOfAnySizeComeOutWhole() throws {
        let seed = Seed()
        var generator = seed.makeGenerator()
        for _ in 0..<50 {
            var stream: [UInt8] = []
            var records: [[UInt8]] = []
            for _ in 0..<40 {
                var record: [UInt8] = []
                let fragments = Bool.random(using: &generator) ? 1 : 3
                for index in 0..<fragments {
                    let count = Int.random(in: 0...200, using: &generator)
                    let body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                    stream += fragment(body, last: index == fragments - 1)
                    record += body
                }
                records.append(record)
            }

            let sizeMaximum = Int.random(in: 1...1000, using: &generator)
            var receiver = RecordReceiver()
            var found: [[UInt8]] = []
            var sent = 0
            while sent < stream.count {
                let end = min(stream.count, sent + .random(in: 1...sizeMaximum, using: &generator))
                receiver.receive(ByteBuffer(bytes: stream[sent..<end]))
                sent = end
                while let record = try receiver.next() {
                    found.append(Array(record.readableBytesView))
                }
            }
            #expect(found == records, "\(seed)")
        }
    }
}
