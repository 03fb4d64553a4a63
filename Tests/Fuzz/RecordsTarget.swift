import NIOCore
import ONCRPC

@testable import NFSClient

/// Record marking (RFC 5531 §11): a stream that comes in pieces of any size has the records that it has as a
/// whole.
final class RecordsTarget: FuzzTarget {
    func seeds() -> [[UInt8]] {
        [
            [7, 0x80, 0, 0, 4, 1, 2, 3, 4, 0x80, 0, 0, 0],
            [1, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0x80, 0, 0, 1, 3],
            [200, 0x80, 0, 16, 0] + [UInt8](repeating: 5, count: 4096),
            [3] + [UInt8](repeating: 0, count: 64),
        ]
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let step = Int(input.byte()) + 1
        let stream = input.all()
        let expected = Self.records(of: stream)
        Self.scan(stream, step, expected)
        Self.receive(stream, step)
    }

    private static let bytesMaximum = 1 << 12
    private static let fragmentsMaximum = 8

    private struct Records: Equatable {
        var found: [[UInt8]] = []
        /// Whether a limit ends the stream.
        var isBroken = false
    }

    /// As the RFC says it, without a thought for speed.
    private static func records(
        of stream: [UInt8], bytesMaximum: Int = bytesMaximum,
        fragmentsMaximum: Int = fragmentsMaximum
    ) -> Records {
        var records = Records()
        var (record, fragments, place) = ([UInt8](), 0, 0)
        while place + 4 <= stream.count {
            let mark = stream[place..<place + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let (count, isLast) = (Int(mark & 0x7fff_ffff), mark >> 31 == 1)
            fragments += 1
            if record.count + count > bytesMaximum {
                records.isBroken = true
                break
            }
            place += 4
            guard place + count <= stream.count else { break }
            if !isLast, fragments >= fragmentsMaximum {
                records.isBroken = true
                break
            }
            record += stream[place..<place + count]
            place += count
            if isLast {
                records.found.append(record)
                (record, fragments) = ([], 0)
            }
        }
        return records
    }

    private static func scan(_ stream: [UInt8], _ step: Int, _ expected: Records) {
        var scanner = RecordScanner(
            bytesMaximum: bytesMaximum, fragmentsMaximum: fragmentsMaximum)
        var (held, arrived, records) = ([UInt8](), 0, Records())
        while arrived < stream.count, !records.isBroken {
            let end = min(arrived + step, stream.count)
            held += stream[arrived..<end]
            arrived = end
            var isHungry = false
            while !isHungry, !records.isBroken {
                do {
                    switch try scanner.scan(held.span.bytes) {
                    case .record(let consumed, let body):
                        records.found.append(Array(held[body]))
                        held.removeFirst(consumed)
                    case .fragments(let consumed, let ranges):
                        records.found.append(ranges.flatMap { held[$0] })
                        held.removeFirst(consumed)
                    case .incomplete(let needed):
                        must(needed > held.count, "what is needed is there")
                        must(needed <= 2 * bytesMaximum, "more is needed than a record may have")
                        isHungry = true
                    }
                } catch {
                    records.isBroken = true
                }
            }
        }
        must(records == expected, "\(records) are not \(expected)")
    }

    /// With the limits that connections have.
    private static func receive(_ stream: [UInt8], _ step: Int) {
        let receiver = RecordReceiver(bufferBytes: 256)
        var (arrived, records) = (0, Records())
        while arrived < stream.count, !records.isBroken {
            var buffer = receiver.nextBuffer()
            let count = min(step, stream.count - arrived, max(1, buffer.writableBytes))
            buffer.writeBytes(stream[arrived..<arrived + count])
            arrived += count
            receiver.receive(buffer)
            do {
                while let record = try receiver.next() {
                    records.found.append(Array(record.readableBytesView))
                }
            } catch {
                records.isBroken = true
            }
        }
        let expected = Self.records(
            of: stream, bytesMaximum: RecordScanner.recordBytesMaximum,
            fragmentsMaximum: RecordScanner.recordFragmentsMaximum)
        must(records == expected, "received \(records) are not \(expected)")
    }
}
