import ONCRPC
import XDR

/// Finding the calls in what a client sends.
enum RecordParts {
    static let all = [Part(name: "record scan", prepare: scan)]

    private static let bodyBytes = 120

    private static func scan() -> (Int) -> UInt64 {
        let mark = RPC.lastFragment | UInt32(bodyBytes)
        let record =
            withUnsafeBytes(of: mark.bigEndian, Array.init)
            + [UInt8](repeating: 1, count: bodyBytes)
        return { count in
            var scanner = RecordScanner()
            var sum: UInt64 = 0
            for _ in 0..<count {
                guard case .record(let consumed, _)? = try? scanner.scan(record.span.bytes) else {
                    preconditionFailure("our own record")
                }
                sum &+= UInt64(consumed)
            }
            return sum
        }
    }
}
