/// Which of the values that a store delivers count. Anybody may have put them there.
///
/// Of several records for the same subject the highest (sequence, issued) valid one is kept. What is looked
/// at first costs little; a signature is verified only of what would be kept.
struct Selection: Sendable {
    /// Why a value is ignored.
    enum Fault: String, Sendable, Hashable, CaseIterable {
        /// It is no record at all.
        case malformed
        /// It is larger than any record.
        case oversized
        /// It is of another appliance or version, or of another table.
        case misplaced
        /// It is not the publisher's, who alone may say such a thing.
        case wrongKey = "by the wrong key"
        case badSignature = "wrongly signed"
        case expired
        /// It was issued later than clocks may differ.
        case early = "dated in the future"
        /// It is to be valid for longer than any record may be.
        case overlong = "valid for too long"
        /// There are more different ones than a key may have.
        case surplus = "too many"
    }

    /// How much clocks may differ.
    static let clockSkewMaximum: Int64 = 120

    let key: CatalogueKey
    private let now: Int64
    private(set) var records: [Record.Subject: SignedRecord] = [:]
    private(set) var ignored: [Fault: Int] = [:]

    /// - Parameter now: Unix seconds.
    init(_ key: CatalogueKey, now: Int64) {
        self.key = key
        self.now = now
    }

    /// Whether there were more valid ones than are kept.
    var isCut: Bool { ignored[.surplus] != nil }

    mutating func offer(_ bytes: [UInt8]) {
        if let fault = take(bytes) { ignored[fault, default: 0] += 1 }
    }

    /// Counts values that a store did not deliver, because no record is so large.
    mutating func ignoreOversized(_ count: Int) {
        if count > 0 { ignored[.oversized, default: 0] += count }
    }

    private mutating func take(_ bytes: [UInt8]) -> Fault? {
        guard bytes.count <= SignedRecord.sizeMaximum else { return .oversized }
        guard let signed = try? SignedRecord(parsing: bytes) else { return .malformed }
        let record = signed.record
        guard record.key == key else { return .misplaced }
        if key.table != .leases, signed.signer != key.appliance.key { return .wrongKey }
        guard record.issued <= now + Self.clockSkewMaximum else { return .early }
        guard record.expires > now else { return .expired }
        guard record.expires - record.issued <= record.lifeMaximum else { return .overlong }
        let subject = signed.subject
        if let kept = records[subject] {
            guard record.counts(before: kept.record) else { return nil }
        } else if records.count >= key.subjectsMaximum {
            return .surplus
        }
        guard signed.isSignatureValid else { return .badSignature }
        records[subject] = signed
        return nil
    }

    /// What was ignored, for people; nil for nothing. An expired record is nothing to report: there is no
    /// other end to a record in most stores.
    var report: String? {
        let parts = Fault.allCases.compactMap { fault in
            ignored[fault].map { "\($0) \(fault.rawValue)" }
        }
        return parts.isEmpty ? nil : "ignored in the catalogue: \(parts.joined(separator: ", "))"
    }
}
