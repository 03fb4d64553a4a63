import ROWTestKit
import Testing
import XDR

@testable import Catalogue

/// What is read as a record, and what is not.
@Suite struct RecordTests {
    private let key = SigningKey()

    private func records() throws -> [Record] {
        let appliance = try Appliance(name: "app", key: key.fingerprint)
        return [
            versionRecord(appliance, issued: 1000),
            Record(
                appliance: appliance, version: "2.0", issued: 5, expires: 6, isOver: true,
                body: .version(
                    sequence: 7, leasePeriod: 1, manifestRoot: [UInt8](repeating: 3, count: 32))),
            Record(
                appliance: appliance, version: "v", issued: 0, expires: 9,
                body: .location(url: "nfs://host:2049/a/b")),
            Record(
                appliance: appliance, version: "v", issued: 0, expires: 9,
                body: .lease(holder: .max)),
        ]
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        for record in try records() {
            let signed = try SignedRecord(record, by: key)
            let read = try SignedRecord(parsing: signed.bytes)
            #expect(read.record == record)
            #expect(read.isSignatureValid && read.signer == key.fingerprint)
            #expect(read.bytes == signed.bytes)
        }
    }

    @Test func everyBitIsSigned() throws {
        for record in try records() {
            let bytes = try SignedRecord(record, by: key).bytes
            for bit in 0..<(bytes.count * 8) {
                var changed = bytes
                changed[bit / 8] ^= 1 << (bit % 8)
                if let read = try? SignedRecord(parsing: changed) {
                    #expect(!read.isSignatureValid, "bit \(bit) of \(record)")
                }
            }
            for count in 0..<bytes.count {
                #expect(throws: XDRError.self) {
                    try SignedRecord(parsing: Array(bytes.prefix(count)))
                }
            }
            #expect(throws: XDRError.self) { try SignedRecord(parsing: bytes + [0, 0, 0, 0]) }
        }
    }

    @Test func randomBytesAndMutatedRecordsAreNeverValid() throws {
        let seed = Seed()
        print("record mutations: \(seed)")
        var generator = seed.makeGenerator()
        let originals = try records().map { try SignedRecord($0, by: key).bytes }
        for _ in 0..<3000 {
            var bytes: [UInt8]
            if Bool.random(using: &generator) {
                bytes = (0..<Int.random(in: 0...400, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
            } else {
                bytes = originals.randomElement(using: &generator) ?? []
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let index = bytes.indices.randomElement(using: &generator) ?? 0
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes.remove(at: index)
                    default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
                    }
                }
            }
            guard !originals.contains(bytes), let read = try? SignedRecord(parsing: bytes) else {
                continue
            }
            #expect(!read.isSignatureValid, "\(seed)")
        }
    }

    @Test func aLocationMustBeAPlainURLInItsOneForm() throws {
        let appliance = try Appliance(name: "app", key: key.fingerprint)
        for url in ["http://h/x", "nfs://h", "NFS://h/x", "nfs://h/x y", "nfs://h/\u{1b}[2J", ""] {
            let record = Record(
                appliance: appliance, version: "1", issued: 0, expires: 9,
                body: .location(url: url))
            #expect(throws: XDRError.self) { try Record(decoding: record.encoded()) }
        }
    }
}

/// Which of the values under a key count.
@Suite struct SelectionTests {
    private let key = SigningKey()
    private let now: Int64 = 1_000_000

    private func select(_ values: [[UInt8]], at time: Int64? = nil) throws -> Selection {
        var selection = Selection(.versions(of: try appliance()), now: time ?? now)
        for value in values { selection.offer(value) }
        return selection
    }

    private func appliance() throws -> Appliance {
        try Appliance(name: "app", key: key.fingerprint)
    }

    private func signed(_ record: Record, by other: SigningKey? = nil) throws -> [UInt8] {
        try SignedRecord(record, by: other ?? key).bytes
    }

    @Test func theHighestCountsInWhateverOrderTheyCome() throws {
        let old = try signed(versionRecord(appliance(), issued: now - 10))
        let new = try signed(versionRecord(appliance(), issued: now - 5))
        let over = try signed(versionRecord(appliance(), issued: now - 5, isOver: true))
        for order in [[old, new, over], [over, new, old], [new, over, old], [old, over, new]] {
            let records = try select(order).records
            #expect(records.count == 1 && records.values.first?.bytes == over)
        }
        #expect(
            try select([over, signed(versionRecord(appliance(), issued: now))])
                .records.values.first?.record.isOver == false)
    }

    @Test func eachFaultIsIgnoredAndReported() throws {
        let appliance = try appliance()
        let valid = versionRecord(appliance, issued: now)
        var forged = try signed(valid)
        forged[50] ^= 1
        let elsewhere = try Appliance(name: "other", key: key.fingerprint)
        let cases: [([UInt8], Selection.Fault)] = [
            ([1, 2, 3], .malformed),
            ([UInt8](repeating: 0, count: 5000), .oversized),
            (try signed(versionRecord(elsewhere, issued: now)), .misplaced),
            (try signed(valid, by: SigningKey()), .wrongKey),
            (forged, .badSignature),
            (try signed(versionRecord(appliance, issued: now - 600)), .expired),
            (try signed(versionRecord(appliance, issued: now + 121)), .early),
            (try signed(versionRecord(appliance, issued: now, life: 1 << 40)), .overlong),
        ]
        for (bytes, fault) in cases {
            let selection = try select([bytes])
            #expect(selection.records.isEmpty)
            #expect(selection.ignored == [fault: 1])
            #expect(selection.report?.contains(fault.rawValue) == true)
        }
        #expect(
            try select([signed(versionRecord(appliance, issued: now + 120))]).records.count == 1)
        #expect(try select(cases.map(\.0) + [signed(valid)]).records.count == 1)
    }

    @Test func aClientCannotLeaseForLongOrInAnothersName() throws {
        let appliance = try appliance()
        let table = CatalogueKey.leases(of: "1", appliance)
        var selection = Selection(table, now: now)
        let client = SigningKey()
        for life in [86_400, 86_401] as [Int64] {
            selection.offer(
                try signed(
                    Record(
                        appliance: appliance, version: "1", issued: now, expires: now + life,
                        body: .lease(holder: UInt64(life))), by: client))
        }
        #expect(selection.records.keys.map(\.self) == [.lease(client.fingerprint, holder: 86_400)])
        #expect(selection.ignored == [.overlong: 1])
    }
}

@Suite struct ApplianceReferenceTests {
    private let key = String(repeating: "a", count: 31) + "7"

    @Test func isReadAndWritten() throws {
        for text in ["appliance://deb.ian@\(key)", "appliance://a@\(key)/1.0-rc_2"] {
            #expect(try ApplianceReference(parsing: text).description == text)
        }
        #expect(try ApplianceReference(parsing: "a@\(key)/1").version == "1")
    }

    @Test func aFingerprintIsTheSameAsText() {
        let fingerprint = SigningKey().fingerprint
        #expect(KeyFingerprint(fingerprint.description) == fingerprint)
    }

    @Test func whatIsWrongIsRefused() {
        for text in [
            "", "a", "a@", "@\(key)", "a@\(key)/", "a@\(key)/1/2", "a@\(key.uppercased())",
            "a@\(key)x", "a@\(key.dropLast())1", "-a@\(key)", "a@b@\(key)", "a b@\(key)",
            "a@\(key)/\u{1b}[2J", "nfs://a@\(key)", String(repeating: "a", count: 65) + "@\(key)",
        ] {
            let error = #expect(throws: CatalogueError.self) {
                try ApplianceReference(parsing: text)
            }
            #expect(error?.code == .invalid)
        }
    }
}
