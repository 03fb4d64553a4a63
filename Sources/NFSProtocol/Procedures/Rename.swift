public import XDR

extension NFS3 {
    /// RENAME (RFC 1813 §3.3.14).
    public enum Rename {
        /// RENAME3args.
        public struct Arguments: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var from: DirectoryOperation
            public var to: DirectoryOperation

            @inlinable
            public init(from: DirectoryOperation, to: DirectoryOperation) {
                self.from = from
                self.to = to
            }

            @inlinable public var encodedSize: Int { from.encodedSize + to.encodedSize }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                from.encode(into: &output)
                to.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                from = try DirectoryOperation(from: &decoder)
                to = try DirectoryOperation(from: &decoder)
            }
        }

        /// RENAME3resok.
        public struct Success: Hashable, Sendable, XDREncodable, XDRDecodable {
            public var fromDirectory: WCCData
            public var toDirectory: WCCData

            @inlinable
            public init(fromDirectory: WCCData, toDirectory: WCCData) {
                self.fromDirectory = fromDirectory
                self.toDirectory = toDirectory
            }

            @inlinable
            public var encodedSize: Int {
                fromDirectory.encodedSize + toDirectory.encodedSize
            }

            @inlinable
            public func encode(into output: inout OutputRawSpan) {
                fromDirectory.encode(into: &output)
                toDirectory.encode(into: &output)
            }

            @inlinable
            public init(from decoder: inout Decoder) throws(XDRError) {
                fromDirectory = try WCCData(from: &decoder)
                toDirectory = try WCCData(from: &decoder)
            }
        }

        /// RENAME3resfail has the same fields as RENAME3resok.
        public typealias Failure = Success
        public typealias Result = Outcome<Success, Failure>
    }
}
