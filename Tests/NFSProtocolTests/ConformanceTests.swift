import CodecTestKit
import Testing

/// Our bytes against two C implementations that others wrote: libnfs and libtirpc.
@Suite struct ConformanceTests {
    static let rounds = 400

    @Test(arguments: WireTypes.all)
    func cLibrariesReadAndWriteTheSameBytes(_ type: WireType) throws {
        let seed = SeededGenerator.seedOfThisRun
        var random = SeededGenerator(seed: seed)
        for round in 0..<Self.rounds {
            let sample = type.sample(&random)
            #expect(
                try sample.isDecoded(sample.bytes), "\(type) round \(round) ROWFS_SEED=\(seed)")
            for library in type.libraries {
                let bytes = try library.roundTrip(type.name, sample.bytes)
                try #require(
                    bytes == sample.bytes, "\(library) \(type) round \(round) ROWFS_SEED=\(seed)")
                #expect(try sample.isDecoded(bytes))
            }
        }
    }

    @Test func everyTypeThatLibnfsHasIsCompared() {
        let compared = WireTypes.all.filter { $0.libraries.contains(.libnfs) }.map(\.name)
        #expect(Set(compared) == Set(CLibrary.libnfs.types))
    }
}
