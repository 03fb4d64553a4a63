public import XDR

extension NFS3 {
    /// ftype3 (RFC 1813 §2.6).
    public enum FileType: UInt32, Sendable, CaseIterable, XDREncodable, XDRDecodable {
        case regular = 1
        case directory = 2
        case blockDevice = 3
        case characterDevice = 4
        case symbolicLink = 5
        case socket = 6
        case fifo = 7

        @inlinable public var encodedSize: Int { 4 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) { output.encode(rawValue) }

        @inlinable
        @inline(__always)
        public init(from decoder: inout Decoder) throws(XDRError) {
            let at = decoder.offset
            let raw = try decoder.decodeUInt32()
            guard let type = FileType(rawValue: raw) else {
                throw XDRError(.badDiscriminant, at: at, found: UInt64(raw))
            }
            self = type
        }
    }

    /// nfstime3 (RFC 1813 §2.6): since 1970, nanoseconds in 0...999_999_999.
    public struct Time: Hashable, Comparable, Sendable, XDREncodable, XDRDecodable {
        public var seconds: UInt32
        public var nanoseconds: UInt32

        @inlinable
        public init(seconds: UInt32, nanoseconds: UInt32) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }

        @inlinable
        public static func < (lhs: Time, rhs: Time) -> Bool {
            (lhs.seconds, lhs.nanoseconds) < (rhs.seconds, rhs.nanoseconds)
        }

        @inlinable public var encodedSize: Int { 8 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(seconds)
            output.encode(nanoseconds)
        }

        @inlinable
        @inline(__always)
        public init(from decoder: inout Decoder) throws(XDRError) {
            seconds = try decoder.decodeUInt32()
            nanoseconds = try decoder.decodeUInt32()
        }
    }

    /// specdata3 (RFC 1813 §2.6): the numbers of a device.
    public struct Device: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var major: UInt32
        public var minor: UInt32

        @inlinable
        public init(major: UInt32, minor: UInt32) {
            self.major = major
            self.minor = minor
        }

        @inlinable public var encodedSize: Int { 8 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(major)
            output.encode(minor)
        }

        @inlinable
        @inline(__always)
        public init(from decoder: inout Decoder) throws(XDRError) {
            major = try decoder.decodeUInt32()
            minor = try decoder.decodeUInt32()
        }
    }

    /// fattr3 (RFC 1813 §2.6): all attributes of a file.
    public struct Attributes: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var type: FileType
        /// Permission bits, 0o7777 at most.
        public var mode: UInt32
        public var nlink: UInt32
        public var uid: UInt32
        public var gid: UInt32
        /// Bytes.
        public var size: UInt64
        /// Bytes of storage.
        public var used: UInt64
        public var rdev: Device
        public var fsid: UInt64
        public var fileid: UInt64
        public var atime: Time
        public var mtime: Time
        public var ctime: Time

        @inlinable
        public init(
            type: FileType, mode: UInt32, nlink: UInt32, uid: UInt32, gid: UInt32, size: UInt64,
            used: UInt64, rdev: Device, fsid: UInt64, fileid: UInt64, atime: Time, mtime: Time,
            ctime: Time
        ) {
            self.type = type
            self.mode = mode
            self.nlink = nlink
            self.uid = uid
            self.gid = gid
            self.size = size
            self.used = used
            self.rdev = rdev
            self.fsid = fsid
            self.fileid = fileid
            self.atime = atime
            self.mtime = mtime
            self.ctime = ctime
        }

        /// Every fattr3 has the same size on the wire, in bytes.
        public static let encodedSize = 84

        @inlinable public var encodedSize: Int { 84 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(type.rawValue)
            output.encode(mode)
            output.encode(nlink)
            output.encode(uid)
            output.encode(gid)
            output.encode(size)
            output.encode(used)
            output.encode(rdev.major)
            output.encode(rdev.minor)
            output.encode(fsid)
            output.encode(fileid)
            atime.encode(into: &output)
            mtime.encode(into: &output)
            ctime.encode(into: &output)
        }

        @inlinable
        @inline(__always)
        public init(from decoder: inout Decoder) throws(XDRError) {
            type = try FileType(from: &decoder)
            mode = try decoder.decodeUInt32()
            nlink = try decoder.decodeUInt32()
            uid = try decoder.decodeUInt32()
            gid = try decoder.decodeUInt32()
            size = try decoder.decodeUInt64()
            used = try decoder.decodeUInt64()
            rdev = try Device(from: &decoder)
            fsid = try decoder.decodeUInt64()
            fileid = try decoder.decodeUInt64()
            atime = try Time(from: &decoder)
            mtime = try Time(from: &decoder)
            ctime = try Time(from: &decoder)
        }
    }

    /// wcc_attr (RFC 1813 §2.6): what a client compares to see whether only it changed the object.
    public struct WCCAttributes: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var size: UInt64
        public var mtime: Time
        public var ctime: Time

        @inlinable
        public init(size: UInt64, mtime: Time, ctime: Time) {
            self.size = size
            self.mtime = mtime
            self.ctime = ctime
        }

        /// The part of `attributes` that wcc_attr carries.
        @inlinable
        public init(_ attributes: Attributes) {
            self.init(size: attributes.size, mtime: attributes.mtime, ctime: attributes.ctime)
        }

        @inlinable public var encodedSize: Int { 24 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(size)
            mtime.encode(into: &output)
            ctime.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            size = try decoder.decodeUInt64()
            mtime = try Time(from: &decoder)
            ctime = try Time(from: &decoder)
        }
    }

    /// wcc_data (RFC 1813 §2.6): attributes before and after an operation.
    public struct WCCData: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var before: WCCAttributes?
        public var after: Attributes?

        @inlinable
        public init(before: WCCAttributes? = nil, after: Attributes? = nil) {
            self.before = before
            self.after = after
        }

        @inlinable
        public var encodedSize: Int { before.optionalEncodedSize + after.optionalEncodedSize }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encodeOptional(before)
            output.encodeOptional(after)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            before = try decoder.decodeOptional(WCCAttributes.self)
            after = try decoder.decodeOptional(Attributes.self)
        }
    }

    /// How SETATTR and the creating procedures set a time (RFC 1813 §2.6, set_atime, set_mtime).
    public enum SetTime: Hashable, Sendable, XDREncodable, XDRDecodable {
        case dontChange
        case serverTime
        case clientTime(Time)

        @inlinable
        public var encodedSize: Int {
            if case .clientTime = self { 12 } else { 4 }
        }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            switch self {
            case .dontChange: output.encode(UInt32(0))
            case .serverTime: output.encode(UInt32(1))
            case .clientTime(let time):
                output.encode(UInt32(2))
                time.encode(into: &output)
            }
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            let at = decoder.offset
            switch try decoder.decodeUInt32() {
            case 0: self = .dontChange
            case 1: self = .serverTime
            case 2: self = .clientTime(try Time(from: &decoder))
            case let other: throw XDRError(.badDiscriminant, at: at, found: UInt64(other))
            }
        }
    }

    /// sattr3 (RFC 1813 §2.6): what to set; nil leaves a field as it is.
    public struct SetAttributes: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var mode: UInt32?
        public var uid: UInt32?
        public var gid: UInt32?
        public var size: UInt64?
        public var atime: SetTime
        public var mtime: SetTime

        @inlinable
        public init(
            mode: UInt32? = nil, uid: UInt32? = nil, gid: UInt32? = nil, size: UInt64? = nil,
            atime: SetTime = .dontChange, mtime: SetTime = .dontChange
        ) {
            self.mode = mode
            self.uid = uid
            self.gid = gid
            self.size = size
            self.atime = atime
            self.mtime = mtime
        }

        @inlinable
        public var encodedSize: Int {
            (mode == nil ? 4 : 8) + (uid == nil ? 4 : 8) + (gid == nil ? 4 : 8)
                + (size == nil ? 4 : 12) + atime.encodedSize + mtime.encodedSize
        }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            for field in [mode, uid, gid] {
                output.encode(field != nil)
                if let field { output.encode(field) }
            }
            output.encode(size != nil)
            if let size { output.encode(size) }
            atime.encode(into: &output)
            mtime.encode(into: &output)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            mode = try decoder.decodeBool() ? try decoder.decodeUInt32() : nil
            uid = try decoder.decodeBool() ? try decoder.decodeUInt32() : nil
            gid = try decoder.decodeBool() ? try decoder.decodeUInt32() : nil
            size = try decoder.decodeBool() ? try decoder.decodeUInt64() : nil
            atime = try SetTime(from: &decoder)
            mtime = try SetTime(from: &decoder)
        }
    }
}
