import CodecTestKit
import Testing
import XDR

/// The primitives and the shapes built from them, against libtirpc and against broken records.
@Suite struct PrimitiveTests {
    @Test(arguments: PrimitiveTypes.all)
    func libtirpcReadsAndWritesTheSameBytes(_ type: WireType) throws {
        try WireChecks(type).roundTrips()
    }

    @Test(arguments: PrimitiveTypes.all)
    func everyTruncationIsRejected(_ type: WireType) throws {
        try WireChecks(type).rejectsEveryTruncation()
    }

    @Test(arguments: PrimitiveTypes.all)
    func trailingBytesAreRejected(_ type: WireType) throws {
        try WireChecks(type).rejectsTrailingBytes()
    }

    @Test(arguments: PrimitiveTypes.all)
    func wrongUnitsAreNeverMisread(_ type: WireType) throws {
        try WireChecks(type).misreadsNothing()
    }

    @Test func libtirpcRefusesWhatIsNotItsType() {
        #expect(throws: CLibraryError.self) { try CLibrary.tirpc.roundTrip("bool", [0, 0]) }
        #expect(throws: CLibraryError.self) { try CLibrary.tirpc.roundTrip("no such type", []) }
    }
}

/// The rules of RFC 4506, byte by byte.
@Suite struct EncodingTests {
    @Test func numbersAreBigEndian() {
        #expect(UnsignedValue(0x0102_0304).encoded() == [1, 2, 3, 4])
        #expect(SignedValue(-2).encoded() == [0xff, 0xff, 0xff, 0xfe])
        #expect(HyperValue(0x0102_0304_0506_0708).encoded() == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(BooleanValue(true).encoded() == [0, 0, 0, 1])
        #expect(BooleanValue(false).encoded() == [0, 0, 0, 0])
    }

    @Test(arguments: 0...9)
    func opaqueDataIsPaddedWithZerosToFourBytes(count: Int) throws {
        let data = (0..<count).map { UInt8($0 + 1) }
        let padding = [0, 3, 2, 1][count % 4]
        let bytes = OpaqueValue(data).encoded()
        #expect(bytes == [0, 0, 0, UInt8(count)] + data + [UInt8](repeating: 0, count: padding))
        #expect(try OpaqueValue(decoding: bytes).value == data)
    }

    @Test(arguments: 1...3)
    func paddingIsIgnoredWhenRead(padding: Int) throws {
        let data = [UInt8](repeating: 7, count: 4 - padding)
        let bytes =
            [0, 0, 0, UInt8(data.count)] + data + [UInt8](repeating: 0xff, count: padding)
        #expect(try OpaqueValue(decoding: bytes).value == data)
    }

    @Test func optionalDataIsABooleanAndThenTheValue() throws {
        #expect(OptionalValue(nil).encoded() == [0, 0, 0, 0])
        #expect(OptionalValue(HyperValue(5)).encoded() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5])
    }

    @Test func voidHasNoBytes() throws {
        #expect(XDRVoid().encoded() == [])
        #expect(try XDRVoid(decoding: []) == XDRVoid())
        #expect(throws: XDRError(.trailingBytes, at: 0)) { try XDRVoid(decoding: [0, 0, 0, 0]) }
    }
}

/// What the cursor refuses, and with which code.
@Suite struct RefusalTests {
    @Test(arguments: [2, 0x100, 0x0100_0000, UInt32.max])
    func aBooleanIsNothingButZeroAndOne(value: UInt32) {
        #expect(throws: XDRError(.badBoolean, at: 0)) {
            try BooleanValue(decoding: UnsignedValue(value).encoded())
        }
        #expect(throws: XDRError(.badBoolean, at: 0)) {
            try OptionalValue(
                decoding: UnsignedValue(value).encoded() + HyperValue(1).encoded())
        }
    }

    @Test(arguments: [UInt32(OpaqueValue.maximum) + 1, 0x7fff_fffd, UInt32.max])
    func aLengthPastTheMaximumIsRefusedBeforeTheBytesAreLookedAt(length: UInt32) {
        #expect(throws: XDRError(.tooLong, at: 0)) {
            try OpaqueValue(decoding: UnsignedValue(length).encoded())
        }
        #expect(throws: XDRError(.tooLong, at: 0)) {
            try ArrayValue(decoding: UnsignedValue(length).encoded())
        }
    }

    @Test func theLongestAllowedItemIsRead() throws {
        let longest = OpaqueValue([UInt8](repeating: 1, count: OpaqueValue.maximum))
        #expect(try OpaqueValue(decoding: longest.encoded()) == longest)
    }

    @Test func anErrorSaysWhereAndWhat() throws {
        let bytes = OptionalValue(HyperValue(9)).encoded() + UnsignedValue(2).encoded()
        let error = try #require(throws: XDRError.self) { try OptionalValue(decoding: bytes) }
        #expect(error.offset == 12)
        #expect(error.found == 4)
        #expect(error.description.contains("4 bytes are left over at byte 12"))
    }

    @Test func aRangeNamesThePayloadOfTheRecord() throws {
        let record = UnsignedValue(9).encoded() + OpaqueValue([5, 6, 7]).encoded()
        var decoder = Decoder(record.span.bytes, at: 4)
        #expect(try decoder.decodeOpaqueRange(maximum: 3) == 8..<11)
        #expect(decoder.remaining == 0)
        try decoder.finish()
    }
}
