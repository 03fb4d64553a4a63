public import XDR

extension NFS3 {
    /// nfsstat3 (RFC 1813 §2.6). An open enumeration: a server may send a number we do not know.
    public struct Status: RawRepresentable, Hashable, Sendable, XDREncodable, XDRDecodable {
        public let rawValue: UInt32

        @inlinable
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let ok = Status(rawValue: 0)
        public static let perm = Status(rawValue: 1)
        public static let noent = Status(rawValue: 2)
        public static let io = Status(rawValue: 5)
        public static let nxio = Status(rawValue: 6)
        public static let acces = Status(rawValue: 13)
        public static let exist = Status(rawValue: 17)
        public static let xdev = Status(rawValue: 18)
        public static let nodev = Status(rawValue: 19)
        public static let notdir = Status(rawValue: 20)
        public static let isdir = Status(rawValue: 21)
        public static let inval = Status(rawValue: 22)
        public static let fbig = Status(rawValue: 27)
        public static let nospc = Status(rawValue: 28)
        public static let rofs = Status(rawValue: 30)
        public static let mlink = Status(rawValue: 31)
        public static let nameTooLong = Status(rawValue: 63)
        public static let notEmpty = Status(rawValue: 66)
        public static let dquot = Status(rawValue: 69)
        public static let stale = Status(rawValue: 70)
        public static let remote = Status(rawValue: 71)
        public static let badHandle = Status(rawValue: 10001)
        public static let notSync = Status(rawValue: 10002)
        public static let badCookie = Status(rawValue: 10003)
        public static let notSupp = Status(rawValue: 10004)
        public static let tooSmall = Status(rawValue: 10005)
        public static let serverFault = Status(rawValue: 10006)
        public static let badType = Status(rawValue: 10007)
        public static let jukebox = Status(rawValue: 10008)

        @inlinable public var encodedSize: Int { 4 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encode(rawValue) }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            rawValue = try decoder.decodeUInt32()
        }
    }
}

extension NFS3.Status: CustomStringConvertible {
    /// The name as RFC 1813 writes it: `NFS3ERR_NOENT`.
    public var description: String {
        Self.names[self].map { self == .ok ? "NFS3_OK" : "NFS3ERR_\($0)" } ?? "NFS3ERR(\(rawValue))"
    }

    private static let names: [Self: String] = [
        .ok: "OK", .perm: "PERM", .noent: "NOENT", .io: "IO", .nxio: "NXIO", .acces: "ACCES",
        .exist: "EXIST", .xdev: "XDEV", .nodev: "NODEV", .notdir: "NOTDIR", .isdir: "ISDIR",
        .inval: "INVAL", .fbig: "FBIG", .nospc: "NOSPC", .rofs: "ROFS", .mlink: "MLINK",
        .nameTooLong: "NAMETOOLONG", .notEmpty: "NOTEMPTY", .dquot: "DQUOT", .stale: "STALE",
        .remote: "REMOTE", .badHandle: "BADHANDLE", .notSync: "NOT_SYNC",
        .badCookie: "BAD_COOKIE", .notSupp: "NOTSUPP", .tooSmall: "TOOSMALL",
        .serverFault: "SERVERFAULT", .badType: "BADTYPE", .jukebox: "JUKEBOX",
    ]
}
