import NFSProtocol
import ONCRPC
import Synchronization
import XDR

/// What the simulated server answers, faults aside.
extension SimulatedNFSServer.Core {
    /// The reply to a call, without its record mark.
    /// - Parameter writeLimit: the most bytes that a WRITE takes.
    func reply(
        to call: RPC.CallHeader, record: [UInt8], writeLimit: Int = .max
    ) -> [UInt8] {
        let answer: Answer
        do {
            answer =
                switch (call.program, call.version) {
                case (NFS3.program, NFS3.version): try nfs(call, record, writeLimit)
                case (NFS3.program, _): .error(.progMismatch(low: 3, high: 3))
                case (Mount.program, Mount.version): try mount(call, record)
                case (Mount.program, _): .error(.progMismatch(low: 3, high: 3))
                case (Portmap.program, Portmap.version): try portmap(call, record)
                default: .error(.progUnavail)
                }
        } catch {
            answer = .error(.garbageArgs)
        }
        switch answer {
        case .results(let results):
            return encoded(RPC.successHeaderSize) { RPC.encodeSuccess(xid: call.xid, into: &$0) }
                + results
        case .error(let error):
            return encoded(error.encodedSize) {
                RPC.encode(error: error, xid: call.xid, into: &$0)
            }
        }
    }

    func handle(of id: UInt64) -> NFS3.FileHandle {
        NFS3.FileHandle(
            encoded(12) { output in
                output.encode(handleTag.load(ordering: .relaxed))
                output.encode(id)
            }.span.bytes)
    }

    enum Answer {
        case results([UInt8])
        case error(RPC.AcceptError)
    }

    private typealias Object = SimulatedTree.Object

    func arguments<Arguments: XDRDecodable>(
        _ call: RPC.CallHeader, _ record: [UInt8], _: Arguments.Type = Arguments.self
    ) throws(XDRError) -> Arguments {
        var decoder = Decoder(record.span.bytes, at: call.argumentsOffset)
        let arguments = try Arguments(from: &decoder)
        try decoder.finish()
        return arguments
    }

    func results(_ results: some XDREncodable) -> Answer { .results(results.encoded()) }

    // MARK: Port mapper and MOUNT

    private func portmap(_ call: RPC.CallHeader, _ record: [UInt8]) throws(XDRError) -> Answer {
        switch Portmap.Procedure(rawValue: call.procedure) {
        case .null: return .results([])
        case .getport:
            let wanted = try arguments(call, record, Portmap.Mapping.self)
            let isServed =
                (wanted.program == NFS3.program || wanted.program == Mount.program)
                && wanted.version == 3 && wanted.transport == .tcp
            let port = state.withLock { $0.port }
            return .results(encoded(4) { $0.encode(isServed ? port : 0) })
        default: return .error(.procUnavail)
        }
    }

    private func mount(_ call: RPC.CallHeader, _ record: [UInt8]) throws(XDRError) -> Answer {
        switch Mount.Procedure(rawValue: call.procedure) {
        case .null, .umnt, .umntall: return .results([])
        case .mnt:
            let path = try arguments(call, record, Mount.DirectoryPath.self).bytes
            let export = Array("/export".utf8)
            guard path.starts(with: export) else {
                return results(Mount.Mnt.Result.failure(.noent))
            }
            let tree = state.withLock { $0.tree }
            guard let id = tree.id(at: path.dropFirst(export.count)) else {
                return results(Mount.Mnt.Result.failure(.noent))
            }
            guard case .directory? = tree.objects[id]?.content else {
                return results(Mount.Mnt.Result.failure(.notdir))
            }
            return results(
                Mount.Mnt.Result.ok(Mount.Mnt.Success(handle: handle(of: id), flavors: [1])))
        case .export:
            let entry = Mount.Export.Entry(directory: Mount.DirectoryPath("/export"), groups: [])
            return results(Mount.Export.Result([entry]))
        case .dump: return results(Mount.Dump.Result([]))
        case nil: return .error(.procUnavail)
        }
    }

    // MARK: NFS

    private func nfs(
        _ call: RPC.CallHeader, _ record: [UInt8], _ writeLimit: Int
    ) throws(XDRError) -> Answer {
        if isWritable, let answer = try change(call, record, writeLimit) { return answer }
        let tree = state.withLock { $0.tree }
        switch NFS3.Procedure(rawValue: call.procedure) {
        case .null: return .results([])
        case .getattr:
            let wanted = try arguments(call, record, NFS3.Getattr.Arguments.self)
            return results(
                with(wanted.object, in: tree, failure: XDRVoid()) {
                    .ok(NFS3.Getattr.Success(attributes: $0.attributes))
                } as NFS3.Getattr.Result)
        case .lookup:
            return results(lookup(try arguments(call, record), in: tree))
        case .access:
            let wanted = try arguments(call, record, NFS3.Access.Arguments.self)
            let granted = wanted.access.intersection([.read, .lookup, .execute])
            return results(
                with(wanted.object, in: tree, failure: .init()) {
                    .ok(NFS3.Access.Success(attributes: $0.attributes, access: granted))
                } as NFS3.Access.Result)
        case .readlink:
            let wanted = try arguments(call, record, NFS3.Readlink.Arguments.self)
            return results(
                with(wanted.symlink, in: tree, failure: .init()) { object in
                    guard case .symlink(let target) = object.content else {
                        return .failure(.inval, .init(object.attributes))
                    }
                    return .ok(
                        NFS3.Readlink.Success(
                            attributes: object.attributes, data: NFS3.Path(target)))
                } as NFS3.Readlink.Result)
        case .read:
            return read(try arguments(call, record), in: tree)
        case .readdir:
            return results(readdir(try arguments(call, record), in: tree))
        case .readdirplus:
            return results(readdirplus(try arguments(call, record), in: tree))
        case .fsstat:
            let wanted = try arguments(call, record, NFS3.Fsstat.Arguments.self)
            return results(
                with(wanted.fsroot, in: tree, failure: .init()) {
                    .ok(
                        NFS3.Fsstat.Success(
                            attributes: $0.attributes, tbytes: 1 << 30, fbytes: 1 << 29,
                            abytes: 1 << 29, tfiles: 1000, ffiles: 500, afiles: 500, invarsec: 0))
                } as NFS3.Fsstat.Result)
        case .fsinfo:
            let wanted = try arguments(call, record, NFS3.Fsinfo.Arguments.self)
            return results(
                with(wanted.fsroot, in: tree, failure: .init()) {
                    .ok(
                        NFS3.Fsinfo.Success(
                            attributes: $0.attributes, rtmax: 1 << 20, rtpref: 1 << 20,
                            rtmult: 4096,
                            wtmax: 1 << 20, wtpref: 1 << 20, wtmult: 4096, dtpref: 1 << 16,
                            maxfilesize: 1 << 40, timeDelta: NFS3.Time(seconds: 0, nanoseconds: 1),
                            properties: [.link, .symlink, .homogeneous]))
                } as NFS3.Fsinfo.Result)
        case .pathconf:
            let wanted = try arguments(call, record, NFS3.Pathconf.Arguments.self)
            return results(
                with(wanted.object, in: tree, failure: .init()) {
                    .ok(
                        NFS3.Pathconf.Success(
                            attributes: $0.attributes, linkmax: 32000, nameMax: 255, noTrunc: true,
                            chownRestricted: true, caseInsensitive: false, casePreserving: true))
                } as NFS3.Pathconf.Result)
        case .setattr, .write, .commit:
            return results(NFS3.Commit.Result.failure(.rofs, .init(wcc: NFS3.WCCData())))
        case .create, .mkdir, .symlink, .mknod, .remove, .rmdir:
            return results(NFS3.Create.Result.failure(.rofs, .init(directory: NFS3.WCCData())))
        case .rename:
            return results(
                NFS3.Rename.Result.failure(
                    .rofs, .init(fromDirectory: NFS3.WCCData(), toDirectory: NFS3.WCCData())))
        case .link:
            return results(
                NFS3.Link.Result.failure(
                    .rofs, .init(attributes: nil, directory: NFS3.WCCData())))
        case nil: return .error(.procUnavail)
        }
    }

    /// What `body` makes of the object that `handle` names, or why it names none.
    private func with<OK, Failure>(
        _ handle: NFS3.FileHandle, in tree: SimulatedTree, failure: @autoclosure () -> Failure,
        _ body: (Object) -> NFS3.Outcome<OK, Failure>
    ) -> NFS3.Outcome<OK, Failure> {
        guard let id = id(in: handle) else { return .failure(.badHandle, failure()) }
        guard let object = tree.objects[id] else { return .failure(.stale, failure()) }
        return body(object)
    }

    /// What a handle of ours names.
    func id(in handle: NFS3.FileHandle) -> UInt64? {
        var decoder = Decoder(handle.bytes)
        guard let tag = try? decoder.decodeUInt32(), let id = try? decoder.decodeUInt64(),
            tag == handleTag.load(ordering: .relaxed), decoder.remaining == 0
        else { return nil }
        return id
    }

    private func lookup(
        _ wanted: NFS3.Lookup.Arguments, in tree: SimulatedTree
    ) -> NFS3.Lookup.Result {
        with(wanted.what.directory, in: tree, failure: .init()) { directory in
            guard case .directory(let entries, let parent) = directory.content else {
                return .failure(.notdir, .init(directory.attributes))
            }
            let name = wanted.what.name.bytes
            let id: UInt64? =
                switch name {
                case [UInt8(ascii: ".")]: self.id(in: wanted.what.directory)
                case Array("..".utf8): parent
                default: entries.first { $0.name == name }?.id
                }
            guard let id, let object = tree.objects[id] else {
                return .failure(.noent, .init(directory.attributes))
            }
            return .ok(
                NFS3.Lookup.Success(
                    object: handle(of: id), attributes: object.attributes,
                    directoryAttributes: directory.attributes))
        }
    }

    private func read(_ wanted: NFS3.Read.Arguments, in tree: SimulatedTree) -> Answer {
        var data: ArraySlice<UInt8> = []
        let result: NFS3.Read.Result = with(wanted.file, in: tree, failure: .init()) { object in
            guard case .file(let bytes) = object.content else {
                return .failure(.inval, .init(object.attributes))
            }
            let start = Int(min(wanted.offset, UInt64(bytes.count)))
            let end = min(bytes.count, start + Int(min(wanted.count, 1 << 20)))
            data = bytes[start..<end]
            return .ok(
                NFS3.Read.Success(
                    attributes: object.attributes, count: UInt32(data.count),
                    eof: end == bytes.count, data: 0..<data.count))
        }
        let padding = [UInt8](repeating: 0, count: paddedCount(data.count) - data.count)
        return .results(result.encoded() + data + padding)
    }

    /// The entries of a directory behind a cookie; cookies count from 1.
    private func entries(
        of directory: Object, behind cookie: UInt64
    ) -> [(id: UInt64, name: [UInt8], cookie: UInt64)]? {
        guard case .directory(let children, let parent) = directory.content else { return nil }
        let dots = [
            (name: [UInt8(ascii: ".")], id: directory.attributes.fileid),
            (name: Array("..".utf8), id: parent),
        ]
        let all = (dots + children).enumerated().map { index, entry in
            (id: entry.id, name: entry.name, cookie: UInt64(index) + 1)
        }
        return all.filter { $0.cookie > cookie }
    }

    private func readdir(
        _ wanted: NFS3.Readdir.Arguments, in tree: SimulatedTree
    ) -> NFS3.Readdir.Result {
        with(wanted.directory, in: tree, failure: .init()) { directory in
            guard let rest = entries(of: directory, behind: wanted.cookie) else {
                return .failure(.notdir, .init(directory.attributes))
            }
            guard wanted.cookie == 0 || wanted.cookieVerifier == Self.cookieVerifier else {
                return .failure(.badCookie, .init(directory.attributes))
            }
            var page = NFS3.Readdir.Success(
                attributes: directory.attributes, cookieVerifier: Self.cookieVerifier, entries: [],
                eof: true)
            for (id, name, cookie) in rest {
                page.entries.append(
                    NFS3.Readdir.Entry(
                        fileid: tree.objects[id]?.attributes.fileid ?? id,
                        name: NFS3.Filename(name), cookie: cookie))
                guard page.encodedSize > Int(wanted.count) else { continue }
                page.entries.removeLast()
                page.eof = false
                break
            }
            let isTooSmall = page.entries.isEmpty && !page.eof
            return isTooSmall ? .failure(.tooSmall, .init(directory.attributes)) : .ok(page)
        }
    }

    private func readdirplus(
        _ wanted: NFS3.Readdirplus.Arguments, in tree: SimulatedTree
    ) -> NFS3.Readdirplus.Result {
        with(wanted.directory, in: tree, failure: .init()) { directory in
            guard let rest = entries(of: directory, behind: wanted.cookie) else {
                return .failure(.notdir, .init(directory.attributes))
            }
            guard wanted.cookie == 0 || wanted.cookieVerifier == Self.cookieVerifier else {
                return .failure(.badCookie, .init(directory.attributes))
            }
            var page = NFS3.Readdirplus.Success(
                attributes: directory.attributes, cookieVerifier: Self.cookieVerifier, entries: [],
                eof: true)
            for (id, name, cookie) in rest {
                page.entries.append(
                    NFS3.Readdirplus.Entry(
                        fileid: tree.objects[id]?.attributes.fileid ?? id,
                        name: NFS3.Filename(name), cookie: cookie,
                        attributes: tree.objects[id]?.attributes, handle: handle(of: id)))
                guard page.encodedSize > Int(wanted.maxcount) else { continue }
                page.entries.removeLast()
                page.eof = false
                break
            }
            let isTooSmall = page.entries.isEmpty && !page.eof
            return isTooSmall ? .failure(.tooSmall, .init(directory.attributes)) : .ok(page)
        }
    }

    private static let cookieVerifier: UInt64 = 0x5349_4d5f_5645_5246
}

/// What `write` appends to memory of `count` bytes.
func encoded(_ count: Int, _ write: (inout OutputRawSpan) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
        let raw = UnsafeMutableRawBufferPointer(memory)
        var output = OutputRawSpan(buffer: raw, initializedCount: 0)
        write(&output)
        initialized = output.finalize(for: raw)
    }
}
