import Testing

@testable import ROWCore

/// The vectors that the authors publish with their code (SipHash-2-4, 128 bits): the key is 00…0f, the
/// message of n bytes is 00, 01, ….
@Suite struct SipHashTests {
    private static let key = SipHash.Key(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

    private static let vectors: [(count: Int, code: String)] = [
        (0, "a3817f04ba25a8e66df67214c7550293"),
        (1, "da87c1d86b99af44347659119b22fc45"),
        (2, "8177228da4a45dc7fca38bdef60affe4"),
        (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        (16, "6ee2a4ca67b054bbfd3315bf85230577"),
    ]

    private static func text(_ code: (UInt64, UInt64)) -> String {
        [code.0, code.1].map { word in
            (0..<8).map { index in
                let byte = String(UInt8(truncatingIfNeeded: word >> UInt64(index * 8)), radix: 16)
                return byte.count == 1 ? "0" + byte : byte
            }.joined()
        }.joined()
    }

    @Test func thePublishedVectorsComeOut() {
        for vector in Self.vectors {
            let message = (0..<vector.count).map { UInt8($0) }
            #expect(Self.text(SipHash.code(Self.key, message)) == vector.code)
        }
    }

    @Test func twoWordsHashAsTheirSixteenBytes() {
        let words = SipHash.code(Self.key, 0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        #expect(words == SipHash.code(Self.key, (0..<16).map { UInt8($0) }))
    }
}
