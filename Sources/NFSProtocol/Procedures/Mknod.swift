public import XDR

extension NFS3 {
    /// MKNOD (RFC 1813 §3.3.11).
    public enum Mknod {
        /// MKNOD3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var location: DirectoryOperation
            public var what: Node

            @inlinable
            public init(location: DirectoryOperation, what: Node) {
                self.location = location
                self.what = what
            }

            @inlinable public var encodedSize: Int { location.encodedSize + what.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                location.encode(into: &output)
                what.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                location = try DirectoryOperation(from: &decoder)
                what = try Node(from: &decoder)
            }
        }

        /// mknoddata3. The types that other procedures make are well formed here and carry nothing;
        /// the server answers them with BADTYPE.
        public enum Node: Hashable, Sendable, XDREncodable, XDRDecodable {
            case regular
            case directory
            case blockDevice(SetAttributes, Device)
            case characterDevice(SetAttributes, Device)
            case symbolicLink
            case socket(SetAttributes)
            case fifo(SetAttributes)

            /// The discriminant.
            @inlinable
            public var type: FileType {
                switch self {
                case .regular: .regular
                case .directory: .directory
                case .blockDevice: .blockDevice
                case .characterDevice: .characterDevice
                case .symbolicLink: .symbolicLink
                case .socket: .socket
                case .fifo: .fifo
                }
            }

            @inlinable
            public var encodedSize: Int {
                switch self {
                case .regular, .directory, .symbolicLink: 4
                case .blockDevice(let attributes, _), .characterDevice(let attributes, _):
                    12 + attributes.encodedSize
                case .socket(let attributes), .fifo(let attributes): 4 + attributes.encodedSize
                }
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                type.encode(into: &output)
                switch self {
                case .regular, .directory, .symbolicLink: break
                case .blockDevice(let attributes, let device),
                    .characterDevice(let attributes, let device):
                    attributes.encode(into: &output)
                    device.encode(into: &output)
                case .socket(let attributes), .fifo(let attributes):
                    attributes.encode(into: &output)
                }
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                switch try FileType(from: &decoder) {
                case .regular: self = .regular
                case .directory: self = .directory
                case .blockDevice:
                    let attributes = try SetAttributes(from: &decoder)
                    self = .blockDevice(attributes, try Device(from: &decoder))
                case .characterDevice:
                    let attributes = try SetAttributes(from: &decoder)
                    self = .characterDevice(attributes, try Device(from: &decoder))
                case .symbolicLink: self = .symbolicLink
                case .socket: self = .socket(try SetAttributes(from: &decoder))
                case .fifo: self = .fifo(try SetAttributes(from: &decoder))
                }
            }
        }

        /// MKNOD3resok.
        public typealias Success = CreatedObject
        /// MKNOD3resfail.
        public typealias Failure = DirectoryChange
        public typealias Result = Outcome<Success, Failure>
    }
}
