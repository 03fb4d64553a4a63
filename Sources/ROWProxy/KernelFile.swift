public import SystemPackage

/// A file of /proc or /sys.
public enum KernelFile {
    /// All that is in it. Foundation reads such a file once, which brings 4 KiB of it at most.
    public static func text(_ path: String) throws(Errno) -> String {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                var bytes: [UInt8] = []
                var part = [UInt8](repeating: 0, count: 64 << 10)
                while true {
                    let count = try part.withUnsafeMutableBytes { try file.read(into: $0) }
                    guard count > 0 else { break }
                    bytes += part[..<count]
                }
                return String(decoding: bytes, as: UTF8.self)
            }
        } catch { throw error as? Errno ?? .ioError }
    }
}
