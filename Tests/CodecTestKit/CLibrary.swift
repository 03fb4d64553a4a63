import CConformance

/// A C implementation of XDR that our bytes are compared with.
public enum CLibrary: String, Sendable, CaseIterable {
    case tirpc, libnfs

    /// The names of the types it can round-trip, as the C shims spell them.
    public var types: [String] {
        var names: [String] = []
        while let name = typeName(names.count) { names.append(String(cString: name)) }
        return names
    }

    /// Decodes `bytes` as `type` with the C library, and encodes the result with it.
    /// - Throws: ``CLibraryError`` when the library refuses the bytes or does not read all of them.
    public func roundTrip(_ type: String, _ bytes: [UInt8]) throws(CLibraryError) -> [UInt8] {
        var copy = [UInt8](repeating: 0, count: bytes.count + 64)
        let result =
            switch self {
            case .tirpc: conformance_tirpc(type, bytes, bytes.count, &copy, copy.count)
            case .libnfs: conformance_libnfs(type, bytes, bytes.count, &copy, copy.count)
            }
        guard result >= 0 else {
            throw CLibraryError(
                library: self, type: type, failure: conformance_failure(Int32(result)))
        }
        return Array(copy[..<result])
    }

    private func typeName(_ index: Int) -> UnsafePointer<CChar>? {
        switch self {
        case .tirpc: conformance_tirpc_type(index)
        case .libnfs: conformance_libnfs_type(index)
        }
    }
}

/// The C library did not take the bytes.
public struct CLibraryError: Error, CustomStringConvertible {
    public let library: CLibrary
    public let type: String
    public let reason: String

    init(library: CLibrary, type: String, failure: conformance_failure) {
        self.library = library
        self.type = type
        reason =
            switch failure {
            case CONFORMANCE_UNKNOWN_TYPE: "does not know the type"
            case CONFORMANCE_NOT_DECODED: "cannot decode the bytes"
            case CONFORMANCE_BYTES_LEFT: "leaves bytes unread"
            case CONFORMANCE_NOT_ENCODED: "cannot encode what it decoded"
            default: "failed"
            }
    }

    public var description: String { "\(library) \(reason): \(type)" }
}
