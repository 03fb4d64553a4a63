public import XDR

extension RPC {
    /// auth_flavor (RFC 5531 §8.2).
    public enum Flavor {
        public static let none: UInt32 = 0
        public static let sys: UInt32 = 1
        /// AUTH_TLS (RFC 9289 §8.1), which only asks for TLS.
        public static let tls: UInt32 = 7
    }

    /// Who makes a call (RFC 5531 §8.2, opaque_auth).
    public enum Credential: Hashable, Sendable {
        /// AUTH_NONE.
        case none
        /// AUTH_SYS.
        case sys(AuthSys)
        /// A flavor that is not understood. Its body is skipped when read and empty when written.
        /// Only calls of procedure 0 are let through with one.
        case other(flavor: UInt32)
    }

    /// authsys_parms (RFC 5531 appendix A) without the machine name, which nobody verifies: skipped
    /// when read, empty when written.
    public struct AuthSys: Hashable, Sendable, XDREncodable, XDRDecodable {
        /// An arbitrary number the caller chose.
        public var stamp: UInt32
        public var uid: UInt32
        public var gid: UInt32
        /// The supplementary groups.
        public var groups: Groups

        /// The most bytes in a machine name.
        public static let machineNameSizeMaximum = 255

        @inlinable
        public init(stamp: UInt32 = 0, uid: UInt32, gid: UInt32, groups: Groups = Groups()) {
            self.stamp = stamp
            self.uid = uid
            self.gid = gid
            self.groups = groups
        }

        @inlinable public var encodedSize: Int { 20 + 4 * groups.count }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(stamp)
            output.encode(UInt32(0))
            output.encode(uid)
            output.encode(gid)
            output.encode(UInt32(groups.count))
            for index in 0..<groups.count { output.encode(groups[index]) }
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            stamp = try decoder.decodeUInt32()
            _ = try decoder.decodeOpaqueRange(maximum: Self.machineNameSizeMaximum)
            uid = try decoder.decodeUInt32()
            gid = try decoder.decodeUInt32()
            groups = Groups()
            let count = try decoder.decodeCount(maximum: Groups.capacity)
            for _ in 0..<count { groups.append(try decoder.decodeUInt32()) }
        }
    }

    /// The supplementary groups of AUTH_SYS: at most 16, kept inline.
    public struct Groups: Sendable {
        public static let capacity = 16

        @usableFromInline var storage: InlineArray<16, UInt32>
        @usableFromInline var used: Int

        @inlinable
        public init() {
            storage = InlineArray(repeating: 0)
            used = 0
        }

        /// Keeps the first 16 of `groups`: AUTH_SYS carries no more.
        @inlinable
        public init(_ groups: some Collection<UInt32>) {
            self.init()
            for group in groups.prefix(Self.capacity) { append(group) }
        }

        /// - Precondition: fewer than 16 groups so far.
        @usableFromInline
        mutating func append(_ group: UInt32) {
            storage[used] = group
            used += 1
        }
    }
}

extension RPC.Groups: RandomAccessCollection, Hashable {
    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { used }
    @inlinable public var count: Int { used }

    @inlinable
    public subscript(index: Int) -> UInt32 {
        precondition(index < used)
        return storage[index]
    }

    @inlinable
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.elementsEqual(rhs) }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for group in self { hasher.combine(group) }
    }
}

extension RPC.Credential: XDREncodable {
    /// The size of the flavor, the body's length and the body.
    @inlinable
    public var encodedSize: Int {
        switch self {
        case .none, .other: 8
        case .sys(let parameters): 8 + parameters.encodedSize
        }
    }

    @inlinable
    public func encode(into output: inout OutputRawSpan) {
        switch self {
        case .none:
            output.encode(RPC.Flavor.none)
            output.encode(UInt32(0))
        case .sys(let parameters):
            output.encode(RPC.Flavor.sys)
            output.encode(UInt32(parameters.encodedSize))
            parameters.encode(into: &output)
        case .other(let flavor):
            output.encode(flavor)
            output.encode(UInt32(0))
        }
    }
}
