import NFSClient
import XDR

/// The form that is signed: XDR (RFC 4506) of kind, appliance, version, times and the kind's own fields.
extension Record: XDRCodable {
    private enum Kind {
        static let version: UInt32 = 1
        static let location: UInt32 = 2
        static let lease: UInt32 = 3
    }

    private static let nameSizeMaximum = 64

    var encodedSize: Int {
        let common = 4 + Self.size(appliance.name) + KeyFingerprint.size + Self.size(version) + 20
        switch body {
        case .version(_, _, let root):
            return common + 16 + (root == nil ? 0 : Self.manifestRootSize)
        case .location(let url): return common + Self.size(url)
        case .lease: return common + 8
        }
    }

    private static func size(_ text: String) -> Int { 4 + paddedCount(text.utf8.count) }

    func encode(into output: inout OutputRawSpan) {
        switch body {
        case .version: output.encode(Kind.version)
        case .location: output.encode(Kind.location)
        case .lease: output.encode(Kind.lease)
        }
        output.encodeOpaque(Array(appliance.name.utf8))
        output.encodeFixedOpaque(appliance.key.bytes.span.bytes)
        output.encodeOpaque(Array(version.utf8))
        output.encode(UInt64(issued))
        output.encode(UInt64(expires))
        output.encode(isOver)
        switch body {
        case .version(let sequence, let leasePeriod, let root):
            output.encode(sequence)
            output.encode(leasePeriod)
            output.encode(root != nil)
            if let root { output.encodeFixedOpaque(root.span.bytes) }
        case .location(let url): output.encodeOpaque(Array(url.utf8))
        case .lease(let holder): output.encode(holder)
        }
    }

    init(from decoder: inout Decoder) throws(XDRError) {
        let kind = try decoder.decodeUInt32()
        let name = try Self.decodeText(&decoder, maximum: Self.nameSizeMaximum)
        let key = KeyFingerprint(
            bytes: [UInt8](copying: try decoder.decodeFixedOpaque(count: KeyFingerprint.size)))
        let version = try Self.decodeText(&decoder, maximum: Self.nameSizeMaximum)
        do {
            appliance = try ApplianceReference(
                Appliance(name: name, key: key), version: version
            ).appliance
        } catch { throw Self.invalid(decoder) }
        self.version = version
        issued = try Self.decodeTime(&decoder)
        expires = try Self.decodeTime(&decoder)
        isOver = try decoder.decodeBool()
        switch kind {
        case Kind.version:
            let sequence = try decoder.decodeUInt64()
            let leasePeriod = try decoder.decodeUInt32()
            guard (1...UInt32(Self.leasePeriodMaximum)).contains(leasePeriod),
                (1...Self.sequenceMaximum).contains(sequence)
            else { throw Self.invalid(decoder) }
            var root: [UInt8]?
            if try decoder.decodeBool() {
                root = [UInt8](
                    copying: try decoder.decodeFixedOpaque(count: Self.manifestRootSize))
            }
            body = .version(sequence: sequence, leasePeriod: leasePeriod, manifestRoot: root)
        case Kind.location:
            let url = try Self.decodeText(&decoder, maximum: Self.urlSizeMaximum)
            guard url.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
                (try? NFSURL(url))?.description == url
            else { throw Self.invalid(decoder) }
            body = .location(url: url)
        case Kind.lease: body = .lease(holder: try decoder.decodeUInt64())
        default: throw XDRError(.badDiscriminant, at: 0, found: UInt64(kind))
        }
    }

    /// So that counting on never overflows, here or in SQLite.
    private static let sequenceMaximum = UInt64(1) << 62

    private static func decodeTime(_ decoder: inout Decoder) throws(XDRError) -> Int64 {
        let time = try decoder.decodeUInt64()
        // Far beyond any date, and such that sums of two do not overflow.
        guard time < 1 << 60 else { throw invalid(decoder) }
        return Int64(time)
    }

    private static func decodeText(
        _ decoder: inout Decoder, maximum: Int
    ) throws(XDRError) -> String {
        let bytes = try decoder.decodeBytes(maximum: maximum)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw invalid(decoder) }
        return text
    }

    private static func invalid(_ decoder: borrowing Decoder) -> XDRError {
        XDRError(.badValue, at: decoder.offset)
    }
}
