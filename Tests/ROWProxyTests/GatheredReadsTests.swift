import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import ROWTestKit
import Testing
import XDR

@testable import ROWProxy

@Suite struct GatheredReadsTests {
    private static let file = NodeID(rawValue: 7)
    private static let other = NodeID(rawValue: 8)

    /// What came of READs, in the order in which they were added.
    private final class Answers {
        var byNumber: [Int: Result<ByteBuffer, MainSource.ReadFailure>] = [:]

        func bytes(_ number: Int) -> [UInt8]? {
            guard case .success(let data)? = byNumber[number] else { return nil }
            return Array(data.readableBytesView)
        }
    }

    private func add(
        _ reads: [(NodeID, Range<UInt64>)], to gathered: inout GatheredReads
    ) -> Answers {
        let answers = Answers()
        for (number, read) in reads.enumerated() {
            gathered.add(read.0, read.1) { answers.byNumber[number] = $0 }
        }
        return answers
    }

    @Test func rangesThatAdjoinAreOneReadAndEachGetsItsBytes() {
        var gathered = GatheredReads()
        let answers = add(
            [(Self.file, 10..<14), (Self.file, 14..<15), (Self.file, 15..<20)], to: &gathered)
        let runs = gathered.takeAll()
        #expect(runs.map(\.range) == [10..<20])
        #expect(gathered.isEmpty)
        // A slice of a larger buffer, as main's data is.
        var data = ByteBuffer(bytes: [99, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        data.moveReaderIndex(forwardBy: 1)
        runs[0].finish(.success(data))
        #expect(answers.bytes(0) == [0, 1, 2, 3])
        #expect(answers.bytes(1) == [4])
        #expect(answers.bytes(2) == [5, 6, 7, 8, 9])
    }

    @Test func readersOfSeveralFilesDoNotDisturbEachOther() {
        var gathered = GatheredReads()
        _ = add(
            [
                (Self.file, 0..<4), (Self.other, 4..<8), (Self.file, 4..<8), (Self.other, 8..<9),
            ], to: &gathered)
        let runs = gathered.takeAll()
        #expect(runs.map(\.id) == [Self.file, Self.other])
        #expect(runs.map(\.range) == [0..<8, 4..<9])
    }

    @Test func gapsOverlapsAndStepsBackAreReadsOfTheirOwn() {
        var gathered = GatheredReads()
        let ranges: [Range<UInt64>] = [100..<200, 201..<300, 150..<250, 0..<100, 100..<200]
        _ = add(ranges.map { (Self.file, $0) }, to: &gathered)
        // The last one adjoins the one before.
        #expect(gathered.takeAll().map(\.range) == [100..<200, 201..<300, 150..<250, 0..<200])
    }

    @Test func noMoreIsJoinedThanMainGivesAtOnce() {
        var gathered = GatheredReads()
        gathered.limit(to: 100)
        gathered.limit(to: 1000)
        _ = add(
            [(Self.file, 0..<60), (Self.file, 60..<100), (Self.file, 100..<300)], to: &gathered)
        #expect(gathered.takeAll().map(\.range) == [0..<100, 100..<300])
    }

    @Test func aFailureIsEverybodys() {
        var gathered = GatheredReads()
        let answers = add([(Self.file, 0..<4), (Self.file, 4..<8)], to: &gathered)
        for run in gathered.takeAll() {
            run.finish(.failure(MainSource.ReadFailure(status: .stale)))
        }
        for number in 0..<2 {
            guard case .failure(let failure)? = answers.byNumber[number] else {
                Issue.record("READ \(number) was not answered with the failure")
                continue
            }
            #expect(failure.status == .stale)
        }
    }

    /// Sends READs that follow one another all at once, and checks what comes back.
    /// - Returns: how many.
    private func readInOrder(
        _ served: Served, _ file: NFS3.FileHandle, _ content: [UInt8], _ size: Int
    ) async throws -> Int {
        let raw = try await served.raw()
        let starts = Array(stride(from: 0, to: content.count, by: size))
        raw.send(
            starts.flatMap { start in
                Message.nfs(
                    xid: UInt32(start), .read,
                    NFS3.Read.Arguments(file: file, offset: UInt64(start), count: UInt32(size)))
            })
        for _ in starts {
            let reply = try #require(try await raw.next())
            let start = Int(try RPC.parseReply(reply.span.bytes).xid)
            let end = min(content.count, start + size)
            var decoder = Decoder(reply.span.bytes, at: RPC.successHeaderSize)
            let success = try NFS3.Read.Result(from: &decoder).success
            #expect(success.eof == (end == content.count))
            #expect(Array(reply[success.data]) == Array(content[start..<end]))
        }
        try await raw.close()
        return starts.count
    }

    @Test func aReaderInOrderHasItsCallsMadeTogether() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.cacheSize = ByteSize(bytes: 0) }
        let large = try await served.handle("large")
        for size in [4096, 100_000] {
            let before = main.calls(.read)
            let count = try await readInOrder(served, large, SimulatedTree.largeFile, size)
            // Few, but for how the calls fell into reads of the socket.
            #expect((1..<count).contains(main.calls(.read) - before))
        }
        try await served.stop()
        try await main.stop()
    }
}
