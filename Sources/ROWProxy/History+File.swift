import Foundation
import NFSProtocol

/// The history as a file.
extension History {
    static let fileName = "history"
    private static let format = "rowfs-history 1"

    var file: Data {
        var bytes = CheckedBytes()
        bytes.append(resolutionMS)
        bytes.append(samples.count)
        var end = 0
        for sample in samples {
            sample.append(to: &bytes, after: end)
            end = sample.endMS
        }
        calls.append(to: &bytes)
        bytes.append(marks.count)
        for mark in marks {
            bytes.append(mark.timeMS)
            bytes.append(mark.isMount ? 1 : 0)
            bytes.append(mark.text)
            mark.calls.append(to: &bytes)
            mark.sum.append(to: &bytes, after: 0)
        }
        return bytes.file(Self.format)
    }

    init(file: Data) throws(CheckedBytes.Damaged) {
        var reader = try CheckedBytes.Reader(file, Self.format)
        resolutionMS = try reader.number()
        var end = 0
        for _ in 0..<(try reader.count(maximum: Self.samplesMaximum)) {
            let sample = try HistorySample(from: &reader, after: end)
            add(sample)
            end = sample.endMS
            samples.append(sample)
        }
        calls = try CallCounts(from: &reader)
        for _ in 0..<(try reader.count(maximum: Self.marksMaximum)) {
            let time = try reader.number()
            let isMount = try reader.number() != 0
            let text = try reader.text(maximum: HistoryMark.textMaximum)
            marks.append(
                HistoryMark(
                    timeMS: time, text: text, isMount: isMount,
                    calls: try CallCounts(from: &reader),
                    sum: try HistorySample(from: &reader, after: 0)))
        }
        guard reader.isAtEnd, resolutionMS > 0 else { throw CheckedBytes.Damaged() }
    }
}

extension HistorySample {
    /// Times are written as what they add to the one before: small numbers.
    fileprivate func append(to bytes: inout CheckedBytes, after time: Int) {
        bytes.append(startMS - time)
        for field in Self.stored {
            bytes.append(self[keyPath: field] - (field == \.endMS ? startMS : 0))
        }
    }

    fileprivate init(
        from reader: inout CheckedBytes.Reader, after time: Int
    ) throws(CheckedBytes.Damaged) {
        self.init()
        startMS = try reader.sum(time)
        for field in Self.stored {
            self[keyPath: field] = try reader.sum(field == \.endMS ? startMS : 0)
        }
    }
}

extension CheckedBytes.Reader {
    /// A number that was written as what it adds to another.
    fileprivate mutating func sum(_ base: Int) throws(CheckedBytes.Damaged) -> Int {
        let (sum, isTooLarge) = base.addingReportingOverflow(try number())
        guard !isTooLarge else { throw CheckedBytes.Damaged() }
        return sum
    }
}

extension CallCounts {
    /// Of each side how many procedures, then number and count of each.
    fileprivate func append(to bytes: inout CheckedBytes) {
        for (_, side) in Self.sides {
            let counts = NFS3.Procedure.allCases.compactMap { procedure in
                self[keyPath: side][procedure.name].map { (procedure.rawValue, $0) }
            }
            bytes.append(counts.count)
            for (procedure, count) in counts {
                bytes.append(Int(procedure))
                bytes.append(count)
            }
        }
    }

    fileprivate init(from reader: inout CheckedBytes.Reader) throws(CheckedBytes.Damaged) {
        self.init()
        for (_, side) in Self.sides {
            for _ in 0..<(try reader.count(maximum: NFS3.Procedure.allCases.count)) {
                guard let raw = UInt32(exactly: try reader.number()),
                    let procedure = NFS3.Procedure(rawValue: raw)
                else { throw CheckedBytes.Damaged() }
                self[keyPath: side][procedure.name] = try reader.number()
            }
        }
    }
}
