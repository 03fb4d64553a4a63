public import XDR

extension NFS3 {
    /// READDIRPLUS (RFC 1813 §3.3.17).
    public enum Readdirplus {
        /// READDIRPLUS3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var directory: FileHandle
            /// Where to go on: 0, or the cookie of the last entry received.
            public var cookie: UInt64
            /// 0 with cookie 0, else the one that came with the cookie.
            public var cookieVerifier: UInt64
            /// The most bytes of names, fileids and cookies in the reply; a hint.
            public var dircount: UInt32
            /// The most bytes in the reply's READDIRPLUS3resok.
            public var maxcount: UInt32

            @inlinable
            public init(
                directory: FileHandle, cookie: UInt64, cookieVerifier: UInt64, dircount: UInt32,
                maxcount: UInt32
            ) {
                self.directory = directory
                self.cookie = cookie
                self.cookieVerifier = cookieVerifier
                self.dircount = dircount
                self.maxcount = maxcount
            }

            @inlinable public var encodedSize: Int { directory.encodedSize + 24 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                directory.encode(into: &output)
                output.encode(cookie)
                output.encode(cookieVerifier)
                output.encode(dircount)
                output.encode(maxcount)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                directory = try FileHandle(from: &decoder)
                cookie = try decoder.decodeUInt64()
                cookieVerifier = try decoder.decodeUInt64()
                dircount = try decoder.decodeUInt32()
                maxcount = try decoder.decodeUInt32()
            }
        }

        /// entryplus3 with the boolean that precedes it in the reply's list. A server that streams a
        /// listing writes ``NFS3/ListingHeader``, any number of these, then ``NFS3/ListingEnd``.
        public struct Entry: Hashable, Sendable, XDREncodable {
            public var fileid: UInt64
            public var name: Filename
            public var cookie: UInt64
            public var attributes: Attributes?
            public var handle: FileHandle?

            @inlinable
            public init(
                fileid: UInt64, name: Filename, cookie: UInt64, attributes: Attributes?,
                handle: FileHandle?
            ) {
                self.fileid = fileid
                self.name = name
                self.cookie = cookie
                self.attributes = attributes
                self.handle = handle
            }

            @inlinable
            public var encodedSize: Int {
                name.encodedSize + attributes.optionalEncodedSize + handle.optionalEncodedSize + 20
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encode(true)
                output.encode(fileid)
                name.encode(into: &output)
                output.encode(cookie)
                output.encodeOptional(attributes)
                output.encodeOptional(handle)
            }

            /// Reads the next entry of a list.
            /// - Returns: nil at the end of the list; the boolean `eof` then follows.
            @inlinable
            public static func next(from decoder: inout Decoder) throws(XDRError) -> Entry? {
                try decoder.decodeBool() ? try Entry(fieldsFrom: &decoder) : nil
            }

            @usableFromInline
            init(fieldsFrom decoder: inout Decoder) throws(XDRError) {
                fileid = try decoder.decodeUInt64()
                name = try Filename(from: &decoder)
                cookie = try decoder.decodeUInt64()
                attributes = try decoder.decodeOptional(Attributes.self)
                handle = try decoder.decodeOptional(FileHandle.self)
            }
        }

        /// READDIRPLUS3resok, the whole listing at once: for clients and tests.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            /// Of the directory.
            public var attributes: Attributes?
            /// cookieverf3: what the client sends back with a cookie.
            public var cookieVerifier: UInt64
            public var entries: [Entry]
            /// No entries follow the last one.
            public var eof: Bool

            @inlinable
            public init(
                attributes: Attributes?, cookieVerifier: UInt64, entries: [Entry], eof: Bool
            ) {
                self.attributes = attributes
                self.cookieVerifier = cookieVerifier
                self.entries = entries
                self.eof = eof
            }

            @inlinable
            public var encodedSize: Int {
                entries.reduce(header.encodedSize + ListingEnd.encodedSize) { $0 + $1.encodedSize }
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                header.encode(into: &output)
                for entry in entries { entry.encode(into: &output) }
                ListingEnd(eof: eof).encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                let header = try ListingHeader(from: &decoder)
                attributes = header.attributes
                cookieVerifier = header.cookieVerifier
                entries = []
                while let entry = try Entry.next(from: &decoder) { entries.append(entry) }
                eof = try decoder.decodeBool()
            }

            @usableFromInline var header: ListingHeader {
                ListingHeader(attributes: attributes, cookieVerifier: cookieVerifier)
            }
        }

        /// READDIRPLUS3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }
}
