import Crypto
import Foundation
import XDR

/// A record with the key and the signature of who says it: what stores keep, bytes that anybody can check.
///
/// XDR (RFC 4506): a number for this format, its version, the raw Ed25519 public key (32 bytes), the
/// signature (64), the record. Signed are a text that belongs to this use alone, the key and the record.
struct SignedRecord: Sendable {
    static let sizeMaximum = 4096

    let record: Record
    let publicKey: [UInt8]
    /// The whole of it.
    let bytes: [UInt8]
    private let signature: [UInt8]
    private let payload: [UInt8]

    /// Signs a record.
    init(_ record: Record, by key: SigningKey) throws(CatalogueError) {
        self.record = record
        publicKey = key.publicKey
        payload = record.encoded()
        signature = try key.signature(of: Self.signedBytes(publicKey, payload))
        bytes = Envelope(publicKey: publicKey, signature: signature, payload: payload).encoded()
        precondition(bytes.count <= Self.sizeMaximum)
    }

    /// Reads one, without a look at its signature.
    /// - Throws: `XDRError` for everything that ``init(_:by:)`` does not make.
    init(parsing bytes: [UInt8]) throws(XDRError) {
        guard bytes.count <= Self.sizeMaximum else { throw XDRError(.tooLong, at: 0) }
        let envelope = try Envelope(decoding: bytes)
        record = try Record(decoding: envelope.payload)
        // There is one form of each record, so that nobody can make more of one by other padding.
        guard record.encoded() == envelope.payload, envelope.encoded() == bytes else {
            throw XDRError(.badValue, at: 0)
        }
        (publicKey, signature, payload) =
            (envelope.publicKey, envelope.signature, envelope.payload)
        self.bytes = bytes
    }

    var signer: KeyFingerprint { KeyFingerprint(publicKey: publicKey) }

    var isSignatureValid: Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else {
            return false
        }
        return key.isValidSignature(signature, for: Self.signedBytes(publicKey, payload))
    }

    var subject: Record.Subject {
        switch record.body {
        case .version: .version(record.version)
        case .location(let url): .location(url)
        case .lease(let holder): .lease(signer, holder: holder)
        }
    }

    private static func signedBytes(_ publicKey: [UInt8], _ payload: [UInt8]) -> [UInt8] {
        Array("rowfs catalogue record 1\0".utf8) + publicKey + payload
    }
}

private struct Envelope: XDRCodable {
    private static let magic: UInt32 = 0x524f_5743  // ROWC
    private static let format: UInt32 = 1
    private static let publicKeySize = 32
    private static let signatureSize = 64

    let publicKey: [UInt8]
    let signature: [UInt8]
    let payload: [UInt8]

    init(publicKey: [UInt8], signature: [UInt8], payload: [UInt8]) {
        self.publicKey = publicKey
        self.signature = signature
        self.payload = payload
    }

    var encodedSize: Int {
        8 + Self.publicKeySize + Self.signatureSize + 4 + paddedCount(payload.count)
    }

    func encode(into output: inout OutputRawSpan) {
        output.encode(Self.magic)
        output.encode(Self.format)
        output.encodeFixedOpaque(publicKey.span.bytes)
        output.encodeFixedOpaque(signature.span.bytes)
        output.encodeOpaque(payload)
    }

    init(from decoder: inout Decoder) throws(XDRError) {
        let magic = try decoder.decodeUInt32()
        let format = try decoder.decodeUInt32()
        guard magic == Self.magic, format == Self.format else {
            throw XDRError(.badDiscriminant, at: 0, found: UInt64(magic) << 32 | UInt64(format))
        }
        publicKey = [UInt8](copying: try decoder.decodeFixedOpaque(count: Self.publicKeySize))
        signature = [UInt8](copying: try decoder.decodeFixedOpaque(count: Self.signatureSize))
        payload = try decoder.decodeBytes(maximum: SignedRecord.sizeMaximum)
    }
}
