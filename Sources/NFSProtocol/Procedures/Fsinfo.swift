public import XDR

extension NFS3 {
    /// FSINFO (RFC 1813 §3.3.19).
    public enum Fsinfo {
        /// FSINFO3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var fsroot: FileHandle

            @inlinable
            public init(fsroot: FileHandle) {
                self.fsroot = fsroot
            }

            @inlinable public var encodedSize: Int { fsroot.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                fsroot.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                fsroot = try FileHandle(from: &decoder)
            }
        }

        /// FSINFO3resok. Sizes are bytes of one request.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// The most that READ returns.
            public var rtmax: UInt32
            public var rtpref: UInt32
            /// READ sizes should be a multiple of this.
            public var rtmult: UInt32
            /// The most that WRITE takes.
            public var wtmax: UInt32
            public var wtpref: UInt32
            /// WRITE sizes should be a multiple of this.
            public var wtmult: UInt32
            /// The preferred size of a READDIR reply.
            public var dtpref: UInt32
            /// The largest file, in bytes.
            public var maxfilesize: UInt64
            /// The granularity of times that a client sets.
            public var timeDelta: Time
            public var properties: Properties

            @inlinable
            public init(
                attributes: Attributes?, rtmax: UInt32, rtpref: UInt32, rtmult: UInt32,
                wtmax: UInt32, wtpref: UInt32, wtmult: UInt32, dtpref: UInt32, maxfilesize: UInt64,
                timeDelta: Time, properties: Properties
            ) {
                self.attributes = attributes
                self.rtmax = rtmax
                self.rtpref = rtpref
                self.rtmult = rtmult
                self.wtmax = wtmax
                self.wtpref = wtpref
                self.wtmult = wtmult
                self.dtpref = dtpref
                self.maxfilesize = maxfilesize
                self.timeDelta = timeDelta
                self.properties = properties
            }

            @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 48 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                output.encode(rtmax)
                output.encode(rtpref)
                output.encode(rtmult)
                output.encode(wtmax)
                output.encode(wtpref)
                output.encode(wtmult)
                output.encode(dtpref)
                output.encode(maxfilesize)
                timeDelta.encode(into: &output)
                output.encode(properties.rawValue)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                rtmax = try decoder.decodeUInt32()
                rtpref = try decoder.decodeUInt32()
                rtmult = try decoder.decodeUInt32()
                wtmax = try decoder.decodeUInt32()
                wtpref = try decoder.decodeUInt32()
                wtmult = try decoder.decodeUInt32()
                dtpref = try decoder.decodeUInt32()
                maxfilesize = try decoder.decodeUInt64()
                timeDelta = try Time(from: &decoder)
                properties = Properties(rawValue: try decoder.decodeUInt32())
            }
        }

        /// The FSF3 bits. Bits that are not named here are kept as they came.
        public struct Properties: OptionSet, Hashable, Sendable {
            public let rawValue: UInt32

            @inlinable
            public init(rawValue: UInt32) { self.rawValue = rawValue }

            /// Hard links work.
            public static let link = Properties(rawValue: 0x01)
            /// Symbolic links work.
            public static let symlink = Properties(rawValue: 0x02)
            /// PATHCONF answers the same for every object.
            public static let homogeneous = Properties(rawValue: 0x08)
            /// SETATTR can set times to what the client says.
            public static let canSetTime = Properties(rawValue: 0x10)
        }

        /// FSINFO3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
