/// ONC remote procedure calls, version 2 (RFC 5531): messages, record marking and the client's table
/// of calls, as plain values without sockets or clocks.
///
/// Messages are read from a `RawSpan` that holds one whole record and written into memory the caller
/// made room for. Nothing on these paths allocates.
public enum RPC {
    /// The only version of the message format there is (RFC 5531 §9).
    public static let version: UInt32 = 2
    /// The bit of a record mark that says "last fragment" (RFC 5531 §11). The other 31 bits are the
    /// fragment's length in bytes.
    public static let lastFragment: UInt32 = 0x8000_0000
    /// Bytes of one record mark.
    public static let recordMarkSize = 4
    /// The most bytes in the body of a credential or verifier (RFC 5531 §8.2).
    public static let authenticationBodySizeMaximum = 400

    /// msg_type (RFC 5531 §9).
    @usableFromInline
    enum MessageType {
        @usableFromInline static let call: UInt32 = 0
        @usableFromInline static let reply: UInt32 = 1
    }

    /// auth_stat (RFC 5531 §9): why a credential was refused.
    public enum AuthStatus {
        /// The credential is malformed.
        public static let badCredential: UInt32 = 1
        /// The client must begin a new session.
        public static let rejectedCredential: UInt32 = 2
        /// The verifier is malformed.
        public static let badVerifier: UInt32 = 3
        /// The flavor is not accepted here.
        public static let tooWeak: UInt32 = 5
    }
}
