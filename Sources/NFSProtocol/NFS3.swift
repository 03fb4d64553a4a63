public import XDR

/// NFS version 3 (RFC 1813): program 100003, version 3.
public enum NFS3 {
    public static let program: UInt32 = 100_003
    public static let version: UInt32 = 3

    /// NFS3_FHSIZE: the most bytes in a file handle.
    public static let handleSizeMaximum = 64
    /// The longest name that is read from the wire. Longer ones are answered with NAMETOOLONG, so the
    /// codec takes more than the 255 bytes that a server accepts.
    public static let nameSizeMaximum = 4096
    /// The longest symbolic link target (PATH_MAX on Linux).
    public static let pathSizeMaximum = 4096
    /// The most data in one READ or WRITE.
    public static let transferSizeMaximum = 1 << 20
    /// NFS3_CREATEVERFSIZE, NFS3_WRITEVERFSIZE and NFS3_COOKIEVERFSIZE are all 8 bytes: a `UInt64`.
    public static let verifierSize = 8

    /// The procedures of RFC 1813 §3.3, by number.
    public enum Procedure: UInt32, CaseIterable, Sendable {
        case null, getattr, setattr, lookup, access, readlink, read, write, create, mkdir, symlink
        case mknod, remove, rmdir, rename, link, readdir, readdirplus, fsstat, fsinfo, pathconf
        case commit

        /// The name as RFC 1813 writes it: `GETATTR`.
        public var name: String { String(describing: self).uppercased() }
    }

    /// What a procedure answers: one arm for `NFS3_OK`, one for every other status.
    ///
    /// A status is an expected outcome, so it is a value and never thrown.
    public enum Outcome<OK, Failure> {
        case ok(OK)
        case failure(Status, Failure)

        /// The status that goes on the wire.
        @inlinable
        public var status: Status {
            switch self {
            case .ok: .ok
            case .failure(let status, _): status
            }
        }
    }
}

extension NFS3.Outcome: Sendable where OK: Sendable, Failure: Sendable {}
extension NFS3.Outcome: Equatable where OK: Equatable, Failure: Equatable {}

extension NFS3.Outcome: XDREncodable where OK: XDREncodable, Failure: XDREncodable {
    @inlinable
    public var encodedSize: Int {
        switch self {
        case .ok(let ok): 4 + ok.encodedSize
        case .failure(_, let failure): 4 + failure.encodedSize
        }
    }

    @inlinable
    public func encode(into output: inout OutputRawSpan) {
        output.encode(status.rawValue)
        switch self {
        case .ok(let ok): ok.encode(into: &output)
        case .failure(_, let failure): failure.encode(into: &output)
        }
    }
}

extension NFS3.Outcome: XDRDecodable where OK: XDRDecodable, Failure: XDRDecodable {
    @inlinable
    public init(from decoder: inout Decoder) throws(XDRError) {
        let status = try NFS3.Status(from: &decoder)
        if status == .ok {
            self = .ok(try OK(from: &decoder))
        } else {
            self = .failure(status, try Failure(from: &decoder))
        }
    }
}
