import CodecTestKit
import NFSProtocol
import Testing
import XDR

/// Records that a Linux kernel client and nfs-ganesha exchanged (scripts/lab/capture-vectors).
@Suite struct VectorTests {
    let vectors: [Vector]

    init() throws { vectors = try Vector.load() }

    @Test func capturedRecordsAreEncodedAsTheyCame() throws {
        for vector in vectors {
            #expect(try vector.recode(vector.bytes) == vector.bytes, "\(vector)")
        }
    }

    @Test func everyTruncationOfACapturedRecordIsRejected() throws {
        for vector in vectors {
            let taken = vector.bytes.indices.filter {
                (try? vector.recode(Array(vector.bytes[..<$0]))) != nil
            }
            #expect(taken == [], "\(vector)")
        }
    }

    @Test func everyCallIsOfTheProcedureItsFileIsNamedAfter() throws {
        for vector in vectors where vector.direction == .call {
            var decoder = Decoder(vector.bytes.span.bytes)
            let header = try CallHeader(from: &decoder)
            let numbers = [header.program, header.version, header.procedure]
            #expect(numbers == vector.numbers, "\(vector)")
        }
    }

    @Test func allButAtMostTwoProceduresAreCapturedInBothDirections() {
        for direction in [Vector.Direction.call, .reply] {
            let captured = Set(
                vectors.filter { $0.program == "NFS3" && $0.direction == direction }
                    .map(\.procedure))
            #expect(captured.count >= NFS3.Procedure.allCases.count - 2, "\(direction)")
        }
        let mount = Set(vectors.filter { $0.program == "MOUNT3" }.map(\.procedure))
        #expect(mount.isSuperset(of: ["MNT", "UMNT", "DUMP", "EXPORT"]))
    }
}
