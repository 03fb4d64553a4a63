public import XDR

/// MOUNT (RFC 1813 §5.2 for version 3, RFC 1094 appendix A for version 1): program 100005. The two
/// versions differ only in what MNT answers.
public enum Mount {
    public static let program: UInt32 = 100_005
    /// The version that belongs to NFSv3.
    public static let version: UInt32 = 3
    /// The version that belongs to NFSv2; `showmount` and boot-time clients still speak it.
    public static let version1: UInt32 = 1

    /// MNTPATHLEN: the most bytes in a path.
    public static let pathSizeMaximum = 1024
    /// MNTNAMLEN: the most bytes in a host or group name.
    public static let nameSizeMaximum = 255
    /// FHSIZE: the exact bytes of a version 1 handle.
    public static let handleSizeVersion1 = 32

    /// The procedures, by number; the same in both versions.
    public enum Procedure: UInt32, CaseIterable, Sendable {
        case null, mnt, dump, umnt, umntall, export

        /// The name as the RFC writes it: `MNT`.
        public var name: String { String(describing: self).uppercased() }
    }

    /// mountstat3 (RFC 1813 §5.1.5), and the errno that version 1 sends in its place. An open
    /// enumeration: a server may send a number we do not know.
    public struct Status: RawRepresentable, Hashable, Sendable, XDREncodable, XDRDecodable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let ok = Status(rawValue: 0)
        public static let perm = Status(rawValue: 1)
        public static let noent = Status(rawValue: 2)
        public static let io = Status(rawValue: 5)
        public static let acces = Status(rawValue: 13)
        public static let notdir = Status(rawValue: 20)
        public static let inval = Status(rawValue: 22)
        public static let nameTooLong = Status(rawValue: 63)
        public static let notSupp = Status(rawValue: 10004)
        public static let serverFault = Status(rawValue: 10006)

        public var encodedSize: Int { 4 }

        public func encode(into output: inout OutputRawSpan) { output.encode(rawValue) }

        public init(from decoder: inout Decoder) throws(XDRError) {
            rawValue = try decoder.decodeUInt32()
        }
    }

    /// dirpath (RFC 1813 §5.1.4): bytes, at most ``pathSizeMaximum``.
    public struct DirectoryPath: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var bytes: [UInt8]

        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        public init(_ string: String) { bytes = Array(string.utf8) }

        public var encodedSize: Int { 4 + paddedCount(bytes.count) }

        public func encode(into output: inout OutputRawSpan) { output.encodeOpaque(bytes) }

        public init(from decoder: inout Decoder) throws(XDRError) {
            bytes = try decoder.decodeBytes(maximum: Mount.pathSizeMaximum)
        }
    }

    /// name (RFC 1813 §5.1.4): of a host or a group, at most ``nameSizeMaximum`` bytes.
    public struct Name: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var bytes: [UInt8]

        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        public init(_ string: String) { bytes = Array(string.utf8) }

        public var encodedSize: Int { 4 + paddedCount(bytes.count) }

        public func encode(into output: inout OutputRawSpan) { output.encodeOpaque(bytes) }

        public init(from decoder: inout Decoder) throws(XDRError) {
            bytes = try decoder.decodeBytes(maximum: Mount.nameSizeMaximum)
        }
    }

    /// What MNT answers: a handle, or a status that says why not. A status is an expected outcome, so
    /// it is a value and never thrown.
    public enum Outcome<OK> {
        case ok(OK)
        case failure(Status)

        /// The status that goes on the wire.
        public var status: Status {
            switch self {
            case .ok: .ok
            case .failure(let status): status
            }
        }
    }
}

extension Mount.Status: CustomStringConvertible {
    /// The name as RFC 1813 writes it: `MNT3ERR_NOENT`.
    public var description: String {
        Self.names[self].map { self == .ok ? "MNT3_OK" : "MNT3ERR_\($0)" } ?? "MNT3ERR(\(rawValue))"
    }

    private static let names: [Self: String] = [
        .ok: "OK", .perm: "PERM", .noent: "NOENT", .io: "IO", .acces: "ACCES", .notdir: "NOTDIR",
        .inval: "INVAL", .nameTooLong: "NAMETOOLONG", .notSupp: "NOTSUPP",
        .serverFault: "SERVERFAULT",
    ]
}

extension Mount.DirectoryPath: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension Mount.Name: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension Mount.Outcome: Sendable where OK: Sendable {}
extension Mount.Outcome: Equatable where OK: Equatable {}

extension Mount.Outcome: XDREncodable where OK: XDREncodable {
    public var encodedSize: Int {
        switch self {
        case .ok(let ok): 4 + ok.encodedSize
        case .failure: 4
        }
    }

    public func encode(into output: inout OutputRawSpan) {
        output.encode(status.rawValue)
        if case .ok(let ok) = self { ok.encode(into: &output) }
    }
}

extension Mount.Outcome: XDRDecodable where OK: XDRDecodable {
    public init(from decoder: inout Decoder) throws(XDRError) {
        let status = try Mount.Status(from: &decoder)
        self = status == .ok ? .ok(try OK(from: &decoder)) : .failure(status)
    }
}
