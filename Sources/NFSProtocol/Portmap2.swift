public import XDR

/// The port mapper (RFC 1833 §3): program 100000, version 2.
public enum Portmap {
    public static let program: UInt32 = 100_000
    public static let version: UInt32 = 2
    /// Where every port mapper listens, on UDP and TCP.
    public static let port: UInt16 = 111
    /// The most bytes that CALLIT forwards in either direction.
    public static let callSizeMaximum = 8192

    /// The procedures, by number.
    public enum Procedure: UInt32, CaseIterable, Sendable {
        case null, set, unset, getport, dump, callit

        /// The name as RFC 1833 writes it, without its prefix: `GETPORT`.
        public var name: String { String(describing: self).uppercased() }
    }

    /// The `prot` field: an IP protocol number. Open: others than these may be registered.
    public struct Transport: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let tcp = Transport(rawValue: 6)
        public static let udp = Transport(rawValue: 17)
    }

    /// mapping (RFC 1833 §3.1): where a version of a program is served.
    public struct Mapping: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var program: UInt32
        public var version: UInt32
        public var transport: Transport
        /// 32 bits on the wire; ignored in GETPORT and UNSET.
        public var port: UInt32

        public init(program: UInt32, version: UInt32, transport: Transport, port: UInt32 = 0) {
            self.program = program
            self.version = version
            self.transport = transport
            self.port = port
        }

        public var encodedSize: Int { 16 }

        public func encode(into output: inout OutputRawSpan) {
            output.encode(program)
            output.encode(version)
            output.encode(transport.rawValue)
            output.encode(port)
        }

        public init(from decoder: inout Decoder) throws(XDRError) {
            program = try decoder.decodeUInt32()
            version = try decoder.decodeUInt32()
            transport = Transport(rawValue: try decoder.decodeUInt32())
            port = try decoder.decodeUInt32()
        }
    }

    /// What SET and UNSET answer.
    public struct Acceptance: Hashable, Sendable, XDREncodable, XDRDecodable {
        public var accepted: Bool

        public init(accepted: Bool) { self.accepted = accepted }

        public var encodedSize: Int { 4 }

        public func encode(into output: inout OutputRawSpan) { output.encode(accepted) }

        public init(from decoder: inout Decoder) throws(XDRError) {
            accepted = try decoder.decodeBool()
        }
    }

    /// PMAPPROC_SET: registers a mapping.
    public enum Set {
        public typealias Arguments = Mapping
        public typealias Result = Acceptance
    }

    /// PMAPPROC_UNSET: removes a program's version on all transports.
    public enum Unset {
        public typealias Arguments = Mapping
        public typealias Result = Acceptance
    }

    /// PMAPPROC_GETPORT: asks for the port of a program's version on a transport.
    public enum Getport {
        public typealias Arguments = Mapping

        public struct Result: Hashable, Sendable, XDREncodable, XDRDecodable {
            /// 0 when the program is not registered.
            public var port: UInt32

            public init(port: UInt32) { self.port = port }

            public var encodedSize: Int { 4 }

            public func encode(into output: inout OutputRawSpan) { output.encode(port) }

            public init(from decoder: inout Decoder) throws(XDRError) {
                port = try decoder.decodeUInt32()
            }
        }
    }

    /// PMAPPROC_DUMP: lists all mappings.
    public enum Dump {
        public typealias Arguments = XDRVoid

        /// pmaplist.
        public struct Result: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var mappings: [Mapping]

            public init(_ mappings: [Mapping]) { self.mappings = mappings }

            public var encodedSize: Int { listEncodedSize(mappings) }

            public func encode(into output: inout OutputRawSpan) { output.encodeList(mappings) }

            public init(from decoder: inout Decoder) throws(XDRError) {
                mappings = try decoder.decodeList(of: Mapping.self)
            }
        }
    }

    /// PMAPPROC_CALLIT: calls another program of the same host through the port mapper.
    public enum Callit {
        /// call_args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var program: UInt32
            public var version: UInt32
            public var procedure: UInt32
            /// The encoded arguments of that procedure, at most ``Portmap/callSizeMaximum`` bytes.
            public var arguments: [UInt8]

            public init(program: UInt32, version: UInt32, procedure: UInt32, arguments: [UInt8]) {
                self.program = program
                self.version = version
                self.procedure = procedure
                self.arguments = arguments
            }

            public var encodedSize: Int { 16 + paddedCount(arguments.count) }

            public func encode(into output: inout OutputRawSpan) {
                output.encode(program)
                output.encode(version)
                output.encode(procedure)
                output.encodeOpaque(arguments)
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                program = try decoder.decodeUInt32()
                version = try decoder.decodeUInt32()
                procedure = try decoder.decodeUInt32()
                arguments = try decoder.decodeBytes(maximum: Portmap.callSizeMaximum)
            }
        }

        /// call_result.
        public struct Result: Hashable, Sendable, XDREncodable, XDRDecodable {
            /// Where the program listens.
            public var port: UInt32
            /// The encoded results, at most ``Portmap/callSizeMaximum`` bytes.
            public var results: [UInt8]

            public init(port: UInt32, results: [UInt8]) {
                self.port = port
                self.results = results
            }

            public var encodedSize: Int { 8 + paddedCount(results.count) }

            public func encode(into output: inout OutputRawSpan) {
                output.encode(port)
                output.encodeOpaque(results)
            }

            public init(from decoder: inout Decoder) throws(XDRError) {
                port = try decoder.decodeUInt32()
                results = try decoder.decodeBytes(maximum: Portmap.callSizeMaximum)
            }
        }
    }
}
