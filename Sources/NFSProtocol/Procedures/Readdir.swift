public import XDR

extension NFS3 {
    /// READDIR (RFC 1813 §3.3.16).
    public enum Readdir {
        /// READDIR3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var directory: FileHandle
            /// Where to go on: 0, or the cookie of the last entry received.
            public var cookie: UInt64
            /// 0 with cookie 0, else the one that came with the cookie.
            public var cookieVerifier: UInt64
            /// The most bytes in the reply's READDIR3resok.
            public var count: UInt32

            @inlinable
            public init(
                directory: FileHandle, cookie: UInt64, cookieVerifier: UInt64, count: UInt32
            ) {
                self.directory = directory
                self.cookie = cookie
                self.cookieVerifier = cookieVerifier
                self.count = count
            }

            @inlinable public var encodedSize: Int { directory.encodedSize + 20 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                directory.encode(into: &output)
                output.encode(cookie)
                output.encode(cookieVerifier)
                output.encode(count)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                directory = try FileHandle(from: &decoder)
                cookie = try decoder.decodeUInt64()
                cookieVerifier = try decoder.decodeUInt64()
                count = try decoder.decodeUInt32()
            }
        }

        /// entry3 with the boolean that precedes it in the reply's list. A server that streams a
        /// listing writes ``NFS3/ListingHeader``, any number of these, then ``NFS3/ListingEnd``.
        public struct Entry: Hashable, Sendable, XDREncodable {
            public var fileid: UInt64
            public var name: Filename
            public var cookie: UInt64

            @inlinable
            public init(fileid: UInt64, name: Filename, cookie: UInt64) {
                self.fileid = fileid
                self.name = name
                self.cookie = cookie
            }

            @inlinable public var encodedSize: Int { name.encodedSize + 20 }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                output.encode(true)
                output.encode(fileid)
                name.encode(into: &output)
                output.encode(cookie)
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
            }
        }

        /// READDIR3resok, the whole listing at once: for clients and tests.
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

        /// READDIR3resfail.
        public typealias Failure = PostOperationAttributes
        public typealias Result = Outcome<Success, Failure>
    }

    /// The part of a READDIR or READDIRPLUS reply that precedes its entries.
    public struct ListingHeader: Hashable, Sendable, XDREncodable, XDRDecodable {
        /// Of the directory.
        public var attributes: Attributes?
        public var cookieVerifier: UInt64

        @inlinable
        public init(attributes: Attributes?, cookieVerifier: UInt64) {
            self.attributes = attributes
            self.cookieVerifier = cookieVerifier
        }

        @inlinable public var encodedSize: Int { attributes.optionalEncodedSize + 8 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encodeOptional(attributes)
            output.encode(cookieVerifier)
        }

        @inlinable
        public init(from decoder: inout Decoder) throws(XDRError) {
            attributes = try decoder.decodeOptional(Attributes.self)
            cookieVerifier = try decoder.decodeUInt64()
        }
    }

    /// The part of a READDIR or READDIRPLUS reply that follows its entries: the boolean that ends the
    /// list, then `eof`.
    public struct ListingEnd: Hashable, Sendable, XDREncodable {
        /// No entries follow the last one.
        public var eof: Bool

        @inlinable
        public init(eof: Bool) { self.eof = eof }

        /// Every end has the same size on the wire, in bytes.
        public static let encodedSize = 8

        @inlinable public var encodedSize: Int { 8 }

        @inlinable
        public func encode(into output: inout OutputRawSpan) {
            output.encode(false)
            output.encode(eof)
        }
    }
}
