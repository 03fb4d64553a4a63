import Foundation
import XDR

@testable import Catalogue

/// Values that anybody may have put under a key, and names of appliances.
final class CatalogueTarget: FuzzTarget {
    private static let now: Int64 = 1_800_000_000
    private let appliance: Appliance
    private let records: [SignedRecord]

    init() throws {
        // Always the same, or what was found before would be signed by nobody.
        let folder = try Scratch("catalogue")
        let raw = Data(repeating: 0x5a, count: 32).base64EncodedString()
        let file = folder.path("key")
        try folder.write(Array("rowfs-ed25519-private-key \(raw)\n".utf8), to: "key")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        let key = try SigningKey(file: file)
        let appliance = try Appliance(name: "app", key: key.fingerprint)
        self.appliance = appliance
        let bodies: [Record.Body] = [
            .version(sequence: 1, leasePeriod: 600, manifestRoot: nil),
            .version(sequence: 2, leasePeriod: 60, manifestRoot: [UInt8](repeating: 7, count: 32)),
            .location(url: "nfs://server/export"), .lease(holder: 77),
        ]
        records = try bodies.flatMap { body in
            try [false, true].map { isOver in
                try SignedRecord(
                    Record(
                        appliance: appliance, version: "1.0", issued: Self.now,
                        expires: Self.now + 60, isOver: isOver, body: body), by: key)
            }
        }
    }

    func seeds() -> [[UInt8]] {
        let references = ["appliance://app@\(appliance.key)", "app@\(appliance.key):1.0", "app"]
        return records.map { [0] + $0.bytes } + references.map { [1] + Array($0.utf8) }
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let isName = input.byte() % 2 == 1
        let value = input.all()
        if isName {
            takeName(value)
        } else {
            takeRecord(value)
        }
    }

    private func takeRecord(_ value: [UInt8]) {
        for key in [
            CatalogueKey.versions(of: appliance), .locations(of: "1.0", appliance),
            .leases(of: "1.0", appliance),
        ] {
            var selection = Selection(key, now: Self.now)
            selection.offer(value)
            selection.offer(value)
            must(selection.records.count <= 1, "one value counts twice")
            for record in selection.records.values {
                must(record.isSignatureValid, "a record counts that nobody has signed")
                must(record.bytes == value, "a record has two forms")
            }
        }
        guard let signed = try? SignedRecord(parsing: value) else { return }
        must(
            (try? Record(decoding: signed.record.encoded())) == signed.record,
            "\(signed.record) is read otherwise")
    }

    private func takeName(_ value: [UInt8]) {
        let text = String(decoding: value, as: UTF8.self)
        guard let reference = try? ApplianceReference(parsing: text) else { return }
        must(
            (try? ApplianceReference(parsing: "\(reference)")) == reference,
            "\(text) is read as \(reference), which is read otherwise")
    }
}
