import Foundation
import Testing

@testable import ROWCore

@Suite struct ManifestSumsTests {
    private static let hashes = (0..<64).map { UInt8($0) }

    private static func file(
        _ title: String = "rowfs manifest 1\n", _ size: String = "65537\n",
        _ hashes: [UInt8] = hashes
    ) -> [UInt8] { Array(title.utf8) + Array(size.utf8) + hashes }

    @Test func piecesAreWhereTheyWereWritten() throws {
        let bytes = ManifestSums.fileBytes(size: 65537, hashes: Self.hashes)
        #expect(bytes == Self.file())
        let sums = try ManifestSums(bytes: bytes)
        #expect(sums.size == 65537 && sums.pieceCount == 2)
        #expect(sums.hash(of: 0).bytes == Array(0..<32) && sums.hash(of: 1).bytes == Array(32..<64))
        #expect(sums.range(of: 0) == 0..<65536 && sums.range(of: 1) == 65536..<65537)
        #expect(sums.rootHash == bytes.withUnsafeBytes { ContentHash(of: $0) })
    }

    @Test(
        arguments: [
            [], file("rowfs manifest 2\n"), file("something else\n\n"), file("rowfs manifest 1"),
            file("rowfs manifest 1\n", "65536\n"), file("rowfs manifest 1\n", "131073\n"),
            file("rowfs manifest 1\n", "\n"), file("rowfs manifest 1\n", "0\n", []),
            file("rowfs manifest 1\n", "-5\n"), file("rowfs manifest 1\n", "+65537\n"),
            file("rowfs manifest 1\n", "99999999999999999999999\n"),
            file("rowfs manifest 1\n", "17179869185\n"), file("rowfs manifest 1\n", "65537"),
            file().dropLast(), file() + [0],
        ] as [[UInt8]])
    func whatIsNotWholeIsRefused(bytes: [UInt8]) {
        let error = #expect(throws: StateError.self) { try ManifestSums(bytes: bytes) }
        #expect(error?.code == .unreadable)
    }
}
