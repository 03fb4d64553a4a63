public import XDR

extension NFS3 {
    /// FSSTAT (RFC 1813 §3.3.18).
    public enum Fsstat {
        /// FSSTAT3args.
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

        /// FSSTAT3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var attributes: Attributes?
            /// Size of the file system, in bytes.
            public var tbytes: UInt64
            /// Free bytes.
            public var fbytes: UInt64
            /// Free bytes that the caller may use.
            public var abytes: UInt64
            /// File slots in all.
            public var tfiles: UInt64
            /// Free file slots.
            public var ffiles: UInt64
            /// Free file slots that the caller may use.
            public var afiles: UInt64
            /// Seconds for which this is expected to hold; 0 when nothing is known.
            public var invarsec: UInt32

            @inlinable
            public init(
                attributes: Attributes?, tbytes: UInt64, fbytes: UInt64, abytes: UInt64,
                tfiles: UInt64, ffiles: UInt64, afiles: UInt64, invarsec: UInt32
            ) {
                self.attributes = attributes
                self.tbytes = tbytes
                self.fbytes = fbytes
                self.abytes = abytes
                self.tfiles = tfiles
                self.ffiles = ffiles
                self.afiles = afiles
                self.invarsec = invarsec
            }

            @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 52 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encodeOptional(attributes)
                output.encode(tbytes)
                output.encode(fbytes)
                output.encode(abytes)
                output.encode(tfiles)
                output.encode(ffiles)
                output.encode(afiles)
                output.encode(invarsec)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                attributes = try decoder.decodeOptional(Attributes.self)
                tbytes = try decoder.decodeUInt64()
                fbytes = try decoder.decodeUInt64()
                abytes = try decoder.decodeUInt64()
                tfiles = try decoder.decodeUInt64()
                ffiles = try decoder.decodeUInt64()
                afiles = try decoder.decodeUInt64()
                invarsec = try decoder.decodeUInt32()
            }
        }

        /// FSSTAT3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
