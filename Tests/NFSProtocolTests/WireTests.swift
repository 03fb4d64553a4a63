import CodecTestKit
import Testing

/// Every type that goes over the wire, at random, against two C implementations that others wrote and
/// against records that are cut, too long or wrong.
@Suite struct WireTests {
    @Test(arguments: WireTypes.all)
    func cLibrariesReadAndWriteTheSameBytes(_ type: WireType) throws {
        try WireChecks(type).roundTrips()
    }

    @Test(arguments: WireTypes.all)
    func everyTruncationIsRejected(_ type: WireType) throws {
        try WireChecks(type).rejectsEveryTruncation()
    }

    @Test(arguments: WireTypes.all)
    func trailingBytesAreRejected(_ type: WireType) throws {
        try WireChecks(type).rejectsTrailingBytes()
    }

    @Test(arguments: WireTypes.all)
    func wrongUnitsAreNeverMisread(_ type: WireType) throws {
        try WireChecks(type).misreadsNothing()
    }

    @Test func everyTypeThatLibnfsHasIsCompared() {
        let compared = WireTypes.all.filter { $0.libraries.contains(.libnfs) }.map(\.name)
        #expect(Set(compared) == Set(CLibrary.libnfs.types))
    }
}
