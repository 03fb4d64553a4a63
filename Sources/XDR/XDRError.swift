/// Why bytes could not be read as the XDR type that was asked for (RFC 4506).
///
/// Two errors are equal when their codes are: a test says which rule was broken, not where.
public struct XDRError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// The bytes end before the value does.
        case truncated
        /// A variable-length item says it is longer than its type allows.
        case tooLong
        /// A boolean that is neither 0 nor 1 (RFC 4506 §4.4).
        case badBoolean
        /// An enum or union discriminant that the type does not define.
        case badDiscriminant
        /// Bytes are left over after the last field.
        case trailingBytes
        /// The value is well formed but the protocol forbids it.
        case badValue
    }

    public let code: Code
    /// Where in the record the item starts, in bytes.
    public let offset: Int
    /// What was found, where a number says it best (a length, a discriminant).
    public let found: UInt64

    public init(_ code: Code, at offset: Int, found: UInt64 = 0) {
        self.code = code
        self.offset = offset
        self.found = found
    }

    public static func == (lhs: XDRError, rhs: XDRError) -> Bool { lhs.code == rhs.code }

    public var description: String {
        switch code {
        case .truncated: "XDR: the record ends inside the item at byte \(offset)"
        case .tooLong:

            "XDR: the item at byte \(offset) says it has \(found) bytes or elements, too many"
        case .badBoolean: "XDR: the boolean at byte \(offset) is \(found)"
        case .badDiscriminant:

            "XDR: the discriminant at byte \(offset) is \(found), which its type lacks"
        case .trailingBytes: "XDR: \(found) bytes are left over at byte \(offset)"
        case .badValue: "XDR: the value at byte \(offset) is not allowed"
        }
    }
}
