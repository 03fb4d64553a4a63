import CLinux
import Crypto
import Foundation
import Glibc

/// An Ed25519 key that signs records, and the file that it is in: one line, for its owner only.
public struct SigningKey: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    init() { key = Curve25519.Signing.PrivateKey() }

    /// What stands for it in names.
    public var fingerprint: KeyFingerprint { KeyFingerprint(publicKey: publicKey) }

    /// 32 bytes.
    var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    /// - Returns: 64 bytes.
    func signature(of bytes: [UInt8]) throws(CatalogueError) -> [UInt8] {
        do { return Array(try key.signature(for: bytes)) } catch {
            throw CatalogueError(.badKey, "cannot sign: \(error)")
        }
    }

    private static let heading = "rowfs-ed25519-private-key "
    private static let fileSizeMaximum = 256

    /// Reads a key.
    /// - Throws: ``CatalogueError/Code/badKey``, also for a file that others than its owner may read.
    public init(file path: String) throws(CatalogueError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            let advice =
                errno == ENOENT ? "'rowctl appliance keygen' makes one" : "it must be yours"
            throw Self.bad(path, String(cString: strerror(errno)), advice)
        }
        defer { close(descriptor) }
        var facts = clinux_stat()
        guard clinux_fstat(descriptor, &facts) == 0, facts.type == UInt32(S_IFREG) else {
            throw Self.bad(path, "it is no regular file", "name the file that keygen made")
        }
        guard facts.mode & 0o077 == 0 else {
            throw Self.bad(
                path, "others than its owner may read or write it",
                "chmod 600 it, and make a new key if somebody may have read it")
        }
        var buffer = [UInt8](repeating: 0, count: Self.fileSizeMaximum)
        let count = read(descriptor, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        guard text.hasPrefix(Self.heading),
            let raw = Data(
                base64Encoded: text.dropFirst(Self.heading.count)
                    .trimmingCharacters(in: .whitespacesAndNewlines)),
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: raw)
        else {
            throw Self.bad(path, "there is no key in it", "restore it from a copy")
        }
        self.key = key
    }

    /// Makes a new key in a new file.
    /// - Throws: ``CatalogueError/Code/exists``, ``CatalogueError/Code/state``.
    public static func make(file path: String) throws(CatalogueError) -> SigningKey {
        let key = SigningKey()
        let temporary = "\(path).\(getpid()).\(UInt32.random(in: 0 ... .max))"
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var code = clinux_mkdir_parents(folder, 0o700)
        guard code == 0 else { throw Self.failure(path, -code) }
        let descriptor = open(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(path, errno) }
        defer {
            close(descriptor)
            unlink(temporary)
        }
        let text = Array((heading + key.key.rawRepresentation.base64EncodedString() + "\n").utf8)
        guard clinux_pwrite(descriptor, text, text.count, 0) == text.count else {
            throw Self.failure(path, ENOSPC)
        }
        code = clinux_fsync(descriptor)
        guard code == 0 else { throw Self.failure(path, -code) }
        // The whole key appears at once, and never in the place of another.
        guard link(temporary, path) == 0 else {
            if errno == EEXIST {
                throw CatalogueError(
                    .exists,
                    "there is a key in \(path) already: without it nothing more can be published under "
                        + "its name; move it aside if that is meant")
            }
            throw Self.failure(path, errno)
        }
        return key
    }

    /// Reads a key, which is made when there is none.
    static func readOrMake(file path: String) throws(CatalogueError) -> SigningKey {
        if access(path, F_OK) != 0 {
            do { return try make(file: path) } catch  where error.code != .exists { throw error }
        }
        return try SigningKey(file: path)
    }

    private static func bad(_ path: String, _ why: String, _ advice: String) -> CatalogueError {
        CatalogueError(.badKey, "cannot use the key file \(path): \(why); \(advice)")
    }

    private static func failure(_ path: String, _ code: CInt) -> CatalogueError {
        CatalogueError(.state, "cannot write \(path): \(String(cString: strerror(code)))")
    }
}
