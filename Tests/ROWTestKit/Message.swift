public import NFSProtocol
public import ONCRPC
public import XDR

/// Calls as bytes.
public enum Message {
    public static let root = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))

    /// A call without its record mark.
    public static func call(
        xid: UInt32, program: UInt32 = NFS3.program, version: UInt32 = NFS3.version,
        procedure: UInt32, credential: RPC.Credential = root, _ arguments: [UInt8] = []
    ) -> [UInt8] {
        let size = RPC.callHeaderSize(credential)
        return encoded(size) { output in
            RPC.encodeCall(
                xid: xid, program: program, version: version, procedure: procedure,
                credential: credential, into: &output)
        } + arguments
    }

    /// A call of an NFS procedure as a whole record.
    public static func nfs(
        xid: UInt32, _ procedure: NFS3.Procedure, _ arguments: some XDREncodable
    ) -> [UInt8] {
        record(call(xid: xid, procedure: procedure.rawValue, arguments.encoded()))
    }

    /// A WRITE as a whole record.
    public static func write(
        xid: UInt32, _ file: NFS3.FileHandle, offset: UInt64 = 0, _ data: [UInt8],
        _ stable: NFS3.Stability
    ) -> [UInt8] {
        let arguments = NFS3.Write.Arguments(
            file: file, offset: offset, count: UInt32(data.count), stable: stable,
            data: 0..<data.count)
        let padding = [UInt8](repeating: 0, count: paddedCount(data.count) - data.count)
        return record(
            call(
                xid: xid, procedure: NFS3.Procedure.write.rawValue,
                arguments.encoded() + data + padding))
    }

    /// One fragment, the last.
    public static func record(_ body: some Collection<UInt8>) -> [UInt8] {
        fragment(body, isLast: true)
    }

    public static func fragment(_ body: some Collection<UInt8>, isLast: Bool) -> [UInt8] {
        mark(body.count, isLast: isLast) + body
    }

    /// What comes before a fragment of so many bytes.
    public static func mark(_ count: Int, isLast: Bool = true) -> [UInt8] {
        words(UInt32(count) | (isLast ? RPC.lastFragment : 0))
    }

    /// Numbers as XDR has them.
    public static func words(_ words: UInt32...) -> [UInt8] {
        encoded(4 * words.count) { output in for word in words { output.encode(word) } }
    }

    public static func encoded(_ count: Int, _ write: (inout OutputRawSpan) -> Void) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            let raw = UnsafeMutableRawBufferPointer(memory)
            var output = OutputRawSpan(buffer: raw, initializedCount: 0)
            write(&output)
            initialized = output.finalize(for: raw)
        }
    }
}
