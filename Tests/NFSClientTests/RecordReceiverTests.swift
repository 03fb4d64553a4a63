import NIOCore
import ONCRPC
import ROWTestKit
import Testing

@testable import NFSClient

@Suite struct RecordReceiverTests {
    private func fragment(_ body: [UInt8], last: Bool = true) -> [UInt8] {
        let mark = UInt32(body.count) | (last ? RPC.lastFragment : 0)
        return withUnsafeBytes(of: mark.bigEndian) { Array($0) } + body
    }

    private func address(_ buffer: ByteBuffer) -> UInt {
        buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }

    /// Bytes on their way to a receiver, read as a channel does it.
    private struct Stream {
        var bytes: ArraySlice<UInt8>

        init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

        /// One read.
        /// - Returns: how many bytes there was room for.
        @discardableResult
        mutating func read(into receiver: RecordReceiver, atMost maximum: Int = .max) -> Int {
            var buffer = receiver.nextBuffer()
            let room = buffer.writableBytes
            let count = min(maximum, room, bytes.count)
            buffer.writeBytes(bytes.prefix(count))
            bytes = bytes.dropFirst(count)
            #expect(receiver.receive(buffer) == count)
            return room
        }
    }

    @Test func aRecordWithinOneBufferIsASliceOfIt() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        var buffer = receiver.nextBuffer()
        buffer.writeBytes(fragment([1, 2, 3]))
        receiver.receive(buffer)
        let record = try #require(try receiver.next())
        #expect(Array(record.readableBytesView) == [1, 2, 3])
        #expect(address(record) == address(buffer) + 4)
        #expect(try receiver.next() == nil)
        #expect(!receiver.hasBytes)
    }

    /// As TLS hands over what it has deciphered.
    @Test func buffersOfOthersAreTakenOnceNothingIsLent() throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        for _ in 0..<50 {
            let receiver = RecordReceiver(bufferBytes: 512)
            receiver.stopLending()
            let bodies = (0..<20).map { _ in
                [UInt8](
                    repeating: .random(in: 0...9, using: &random),
                    count: .random(in: 0...3000, using: &random))
            }
            var stream = bodies.flatMap { fragment($0) }[...]
            var records: [[UInt8]] = []
            var kept: [ByteBuffer] = []
            while !stream.isEmpty {
                let piece = stream.prefix(.random(in: 1...2000, using: &random))
                stream = stream.dropFirst(piece.count)
                #expect(receiver.receive(ByteBuffer(bytes: piece)) == piece.count)
                while let record = try receiver.next() {
                    records.append(Array(record.readableBytesView))
                    // What is still needed must not change.
                    kept.append(record)
                }
            }
            #expect(records == bodies, "\(seed)")
            #expect(kept.map { Array($0.readableBytesView) } == bodies, "\(seed)")
            #expect(!receiver.hasBytes)
        }
    }

    @Test func aLargeRecordOfOthersBuffersIsCopiedToItsPlaceOnce() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        receiver.stopLending()
        let body = [UInt8](repeating: 7, count: 1 << 20)
        var stream = fragment(body)[...]
        receiver.receive(ByteBuffer(bytes: stream.prefix(100)))
        #expect(try receiver.next() == nil)
        stream = stream.dropFirst(100)
        var record: ByteBuffer?
        while record == nil {
            receiver.receive(ByteBuffer(bytes: stream.prefix(16 << 10)))
            stream = stream.dropFirst(16 << 10)
            record = try receiver.next()
        }
        #expect(stream.isEmpty)
        #expect(record.map { Array($0.readableBytesView) == body } == true)
        #expect((record?.storageCapacity ?? 0) <= 2 << 20)
    }

    @Test func aRecordOverTheLimitIsRefusedBeforeItsBytesArrive() {
        let receiver = RecordReceiver(bufferBytes: 512)
        var stream = Stream([0xFF, 0xFF, 0xFF, 0xFF])
        stream.read(into: receiver)
        #expect(throws: RecordError(.recordTooLong, found: 0, maximum: 0)) {
            try receiver.next()
        }
    }

    /// However the bytes of large records fall into reads, no more than their beginnings move.
    @Test func aLargeRecordStaysWhereItIsReceived() throws {
        let receiver = RecordReceiver(bufferBytes: 4096)
        let size = 1 << 20
        let bodies = (0..<3).map { [UInt8](repeating: $0, count: size) }
        var stream = Stream(bodies.flatMap { fragment($0) })
        // The mark alone, then some of the data, then all that there is room for.
        stream.read(into: receiver, atMost: 4)
        #expect(try receiver.next() == nil)
        for body in bodies {
            var buffer = receiver.nextBuffer()
            let place = address(buffer)
            let held = buffer.readableBytes
            #expect(held <= RecordReceiver.bytesBehind)
            #expect(held + buffer.writableBytes == 4 + size + RecordReceiver.bytesBehind)
            // As a slow network would bring them.
            buffer.writeBytes(stream.bytes.prefix(10_001))
            stream.bytes = stream.bytes.dropFirst(10_001)
            receiver.receive(buffer)
            buffer = ByteBuffer()
            #expect(try receiver.next() == nil)
            stream.read(into: receiver)
            let record = try #require(try receiver.next())
            #expect(address(record) == place + 4)
            #expect(record.readableBytesView.elementsEqual(body))
            #expect(try receiver.next() == nil)
        }
        #expect(stream.bytes.isEmpty)
    }

    @Test func aBufferIsUsedAgainButNotWhileItsRecordsAreNeeded() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        var stream = Stream(fragment([1]) + fragment([2]) + fragment([3]))
        stream.read(into: receiver, atMost: 5)
        var record = try receiver.next()
        let place = address(try #require(record))
        // Still needed: the next one lies elsewhere.
        stream.read(into: receiver, atMost: 5)
        let other = try #require(try receiver.next())
        #expect(address(other) != place)
        #expect(record.map { Array($0.readableBytesView) } == [1])
        record = nil
        let otherPlace = address(other)
        withExtendedLifetime(other) {}
        _ = consume other
        stream.read(into: receiver, atMost: 5)
        #expect(address(try #require(try receiver.next())) == otherPlace)
    }

    @Test func connectionsReceiveIntoTheSameMemoryButNotWhileRecordsInItAreNeeded() throws {
        let spare = SpareBuffers()
        // More than a connection's first read has.
        let receivers = (0..<3).map { _ in RecordReceiver(bufferBytes: 64 << 10, spare: spare) }
        func read(_ bytes: [UInt8], _ receiver: RecordReceiver) throws -> ByteBuffer? {
            var stream = Stream(bytes)
            stream.read(into: receiver)
            let record = try receiver.next()
            #expect(try receiver.next() == nil)
            return record
        }
        for receiver in receivers { _ = try read(fragment([0]), receiver) }
        let place = address(try #require(try read(fragment([1]), receivers[0])))
        let kept = try #require(try read(fragment([2]), receivers[1]))
        #expect(address(kept) == place)
        let other = try #require(try read(fragment([3]), receivers[2]))
        #expect(address(other) != place)
        #expect(Array(kept.readableBytesView) == [2])
        // What has the beginning of a record keeps its memory.
        #expect(try read(Array(fragment([4, 5]).prefix(5)), receivers[0]) == nil)
        #expect(try read(fragment([6]), receivers[1]).map { Array($0.readableBytesView) } == [6])
        #expect(try read([5], receivers[0]).map { Array($0.readableBytesView) } == [4, 5])
    }

    @Test func littleThatHasArrivedMovesToMemoryOfItsSize() throws {
        let spare = SpareBuffers()
        let receivers = (0..<2).map { _ in RecordReceiver(bufferBytes: 64 << 10, spare: spare) }
        let bodies: [[UInt8]] = [[1], [2, 3, 4], [5]]
        var stream = Stream(bodies.flatMap { fragment($0) })
        stream.read(into: receivers[0], atMost: 5)
        #expect(try receivers[0].next().map { Array($0.readableBytesView) } == [1])
        #expect(try receivers[0].next() == nil)
        // The second read is into shared memory.
        stream.read(into: receivers[0], atMost: 6)
        #expect(try receivers[0].next() == nil)
        receivers[0].shrink()
        #expect(receivers[0].bytesHeld == 6)
        // Whose memory it was has others' records in it now.
        for _ in 0..<2 {
            var other = Stream(fragment([9, 9, 9, 9, 9, 9, 9, 9]))
            other.read(into: receivers[1])
            #expect(try receivers[1].next()?.readableBytes == 8)
            #expect(try receivers[1].next() == nil)
        }
        #expect(stream.read(into: receivers[0]) > 4)
        #expect(try receivers[0].next().map { Array($0.readableBytesView) } == [2, 3, 4])
        #expect(try receivers[0].next().map { Array($0.readableBytesView) } == [5])
        #expect(try receivers[0].next() == nil)
    }

    @Test func theBeginningOfARecordMovesWhileTheOnesBeforeItAreNeeded() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        let bodies: [[UInt8]] = [[1, 2], [UInt8](repeating: 3, count: 700), [4]]
        var stream = Stream(bodies.flatMap { fragment($0) })
        var found: [ByteBuffer] = []
        while !stream.bytes.isEmpty {
            stream.read(into: receiver)
            while let record = try receiver.next() { found.append(record) }
        }
        #expect(found.map { Array($0.readableBytesView) } == bodies)
    }

    /// The memory is bounded by the limits on records, whatever is announced and however it comes.
    @Test func theLargestRecordByteByByteTakesNoMoreRoomThanItNeeds() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        let size = RecordScanner.recordBytesMaximum
        let half = [UInt8](repeating: 7, count: size / 2)
        let bytes = fragment(half, last: false) + fragment(half)
        let limit = size + 8 + RecordReceiver.bytesBehind
        var stream = Stream(bytes)
        for _ in 0..<2000 {
            #expect(stream.read(into: receiver, atMost: 1) <= limit)
            #expect(try receiver.next() == nil)
        }
        var record: ByteBuffer?
        while record == nil, !stream.bytes.isEmpty {
            #expect(stream.read(into: receiver) <= limit)
            record = try receiver.next()
        }
        #expect(record?.readableBytes == size)
    }

    @Test func recordsThatNobodyTakesAreKept() throws {
        let receiver = RecordReceiver(bufferBytes: 512)
        let bodies = (0..<2000).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 60) }
        var stream = Stream(bodies.flatMap { fragment($0) })
        while !stream.bytes.isEmpty { stream.read(into: receiver) }
        for body in bodies {
            #expect(try receiver.next().map { Array($0.readableBytesView) } == body)
        }
        #expect(!receiver.hasBytes)
        stream = Stream(fragment([9]))
        stream.read(into: receiver)
        receiver.reset()
        #expect(try receiver.next() == nil)
    }

    /// A channel that drops a buffer with the beginning of a record in it, or comes with another one.
    @Test func aStreamWithAGapIsNotFollowed() throws {
        for usesOther in [false, true] {
            let receiver = RecordReceiver(bufferBytes: 512)
            var stream = Stream(fragment([1, 2, 3]))
            stream.read(into: receiver, atMost: 5)
            #expect(try receiver.next() == nil)
            _ = receiver.nextBuffer()
            if usesOther {
                receiver.receive(ByteBuffer(bytes: [2, 3]))
            } else {
                stream.read(into: receiver)
            }
            #expect(throws: RecordError(.bytesLost, found: 0, maximum: 0)) {
                try receiver.next()
            }
        }
    }

    /// Random records in random fragments, in reads of random sizes, come out whole, whether earlier
    /// ones are still needed or not.
    @Test func recordsAcrossReadsOfAnySizeComeOutWhole() throws {
        let seed = Seed()
        var generator = seed.makeGenerator()
        for round in 0..<60 {
            var stream: [UInt8] = []
            var records: [[UInt8]] = []
            // Some larger than what follows a large record has room.
            let sizeMaximum = round % 10 == 0 ? 40_000 : 200
            for _ in 0..<40 {
                var record: [UInt8] = []
                let fragments = Bool.random(using: &generator) ? 1 : 3
                for index in 0..<fragments {
                    let count = Int.random(in: 0...sizeMaximum, using: &generator)
                    let first = UInt8.random(in: 0...255, using: &generator)
                    let body = (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
                    stream += fragment(body, last: index == fragments - 1)
                    record += body
                }
                records.append(record)
            }

            let readMaximum = Int.random(in: 1...(5 * sizeMaximum), using: &generator)
            let receiver = RecordReceiver(bufferBytes: .random(in: 1...1000, using: &generator))
            let keepsRecords = Bool.random(using: &generator)
            var kept: [ByteBuffer] = []
            var found: [[UInt8]] = []
            var source = Stream(stream)
            while !source.bytes.isEmpty {
                source.read(
                    into: receiver, atMost: .random(in: 1...readMaximum, using: &generator))
                while let record = try receiver.next() {
                    found.append(Array(record.readableBytesView))
                    if keepsRecords { kept.append(record) }
                }
            }
            #expect(found == records, "\(seed)")
            #expect(!keepsRecords || kept.map { Array($0.readableBytesView) } == records, "\(seed)")
        }
    }
}
