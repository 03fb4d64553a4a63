import NFSProtocol
import NIOCore
import ROWCore

/// READs for main, gathered for one turn of the event loop. Ranges of a file that adjoin leave as one
/// call: a client that reads in order has several in flight, and a call costs main and the network more
/// than its bytes. What comes back is handed out in slices.
struct GatheredReads {
    typealias Completion = (Result<ByteBuffer, MainSource.ReadFailure>) -> Void

    /// One READ of main, and those it is made for.
    struct Run {
        let id: NodeID
        fileprivate(set) var range: Range<UInt64>
        fileprivate var parts: [Part]

        /// Hands out what main sent: all of ``range``, or why not.
        func finish(_ result: Result<ByteBuffer, MainSource.ReadFailure>) {
            for part in parts {
                part.then(result.flatMap { slice(of: $0, part.range) })
            }
        }

        private func slice(
            of data: ByteBuffer, _ part: Range<UInt64>
        ) -> Result<ByteBuffer, MainSource.ReadFailure> {
            let start = data.readerIndex + Int(part.lowerBound - range.lowerBound)
            guard let slice = data.getSlice(at: start, length: part.count) else {
                return .failure(MainSource.ReadFailure(status: .io))
            }
            return .success(slice)
        }
    }

    fileprivate struct Part {
        let range: Range<UInt64>
        let then: Completion
    }

    /// The longest range that several READs are joined to. Longer ones would leave main idle while
    /// we pass on what it sent, and the client while main works.
    private(set) var bytesMaximum = 256 << 10
    private var runs: [Run] = []

    var isEmpty: Bool { runs.isEmpty }

    /// Main answers with so many bytes at most: joining more would only make it two calls again.
    mutating func limit(to bytes: Int) { bytesMaximum = min(bytesMaximum, bytes) }

    mutating func add(_ id: NodeID, _ range: Range<UInt64>, then: @escaping Completion) {
        let part = Part(range: range, then: then)
        let index = runs.lastIndex { run in
            run.id == id && run.range.upperBound == range.lowerBound
                && run.range.count + range.count <= bytesMaximum
        }
        guard let index else {
            runs.append(Run(id: id, range: range, parts: [part]))
            return
        }
        runs[index].range = runs[index].range.lowerBound..<range.upperBound
        runs[index].parts.append(part)
    }

    /// The READs to make now.
    mutating func takeAll() -> [Run] {
        let all = runs
        runs = []
        return all
    }
}
