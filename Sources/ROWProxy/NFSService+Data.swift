import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import SystemPackage
import XDR

/// READ, WRITE and COMMIT: the data path.
extension NFSService {
    // MARK: READ

    func read(_ call: RPCCall, _ arguments: NFS3.Read.Arguments, have: MainBytes? = nil) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file)
            resolved = (session, id)
            let count = min(Int(arguments.count), NFS3.transferSizeMaximum)
            let plan = try session.planRead(
                id, offset: arguments.offset, count: count, credential(call))
            try carryOut(plan, ReadCall(call: call, session: session, id: id, arguments: arguments), have)
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { self.failRead(call, target, $0) },
                again: { call in self.read(call, arguments) })
        }
    }

    /// A READ on its way.
    struct ReadCall {
        let call: RPCCall
        let session: SessionState
        let id: NodeID
        let arguments: NFS3.Read.Arguments
    }

    /// Bytes of main that have been fetched for a READ.
    struct MainBytes {
        let range: Range<UInt64>
        let data: ByteBuffer
    }

    private func failRead(
        _ call: RPCCall, _ target: (SessionState, NodeID)?, _ status: NFS3.Status
    ) {
        let attributes = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
        call.reply(NFS3.Read.Result.failure(status, NFS3.PostOperationAttributes(attributes)))
    }

    private func carryOut(
        _ plan: SessionState.ReadPlan, _ read: ReadCall, _ have: MainBytes?
    ) throws(Interrupt) {
        switch plan.source {
        case .nothing:
            reply(read, plan) { _ in true }
        case .zeros:
            reply(read, plan) { memory in
                memory.initializeMemory(as: UInt8.self, repeating: 0)
                return true
            }
        case .shadow(let file):
            read.session.countShadowRead()
            try readFile(file, read, plan)
        case .main:
            if let have, have.range.contains(plan.range) {
                cutThrough(have, read, plan)
            } else {
                try readMain(plan.range, read, plan)
            }
        case .mixed(let runs, let file):
            try assemble(runs, file, read, plan, have)
        }
    }

    /// Answers with `count` bytes that `fill` puts straight into the reply.
    @discardableResult
    private func reply(
        _ read: ReadCall, _ plan: SessionState.ReadPlan,
        fill: (UnsafeMutableRawBufferPointer) -> Bool
    ) -> Bool {
        let count = Int(plan.range.upperBound - plan.range.lowerBound)
        let success = NFS3.Read.Success(
            attributes: plan.attributes, count: UInt32(count), eof: plan.eof, data: 0..<count)
        let xid = read.call.header.xid
        let isFilled = read.call.connection.write(
            headSize: RPC.successHeaderSize + 4 + success.encodedSize, payloadCount: count,
            head: { output in
                RPC.encodeSuccess(xid: xid, into: &output)
                output.encode(NFS3.Status.ok.rawValue)
                success.encode(into: &output)
            }, fill: fill)
        if isFilled { counters.bytesToClient += count }
        return isFilled
    }

    /// From the page cache at once, from the disk by way of the pool.
    private func readFile(
        _ file: SparseFile, _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) throws(Interrupt) {
        var failure: Errno?
        let isDone = reply(read, plan) { memory in
            do throws(Errno) {
                return try file.readNowait(into: memory, at: plan.range.lowerBound) != .wouldBlock
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw .status(NFS3.Status(failure)) }
        guard !isDone else { return }
        let read = ReadCall(
            call: read.call.detached(), session: read.session, id: read.id,
            arguments: read.arguments)
        read.call.connection.park()
        main.readOffLoop(file, plan.range) { result in
            read.call.connection.unpark()
            switch result {
            case .success(let data):
                self.cutThrough(MainBytes(range: plan.range, data: data), read, plan)
            case .failure(let error):
                self.failRead(read.call, (read.session, read.id), NFS3.Status(error))
            }
        }
    }

    /// Passes on what main sent as it lies in the receive buffer.
    private func cutThrough(
        _ have: MainBytes, _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) {
        let count = Int(plan.range.upperBound - plan.range.lowerBound)
        let start = have.data.readerIndex + Int(plan.range.lowerBound - have.range.lowerBound)
        guard let slice = have.data.getSlice(at: start, length: count) else {
            failRead(read.call, (read.session, read.id), .io)
            return
        }
        let success = NFS3.Read.Success(
            attributes: plan.attributes, count: UInt32(count), eof: plan.eof, data: 0..<count)
        let xid = read.call.header.xid
        read.call.connection.write(
            headSize: RPC.successHeaderSize + 4 + success.encodedSize, payload: slice
        ) { output in
            RPC.encodeSuccess(xid: xid, into: &output)
            output.encode(NFS3.Status.ok.rawValue)
            success.encode(into: &output)
        }
        counters.bytesToClient += count
    }

    /// Gets a range from main and plans again: the file may have been written meanwhile.
    private func readMain(
        _ range: Range<UInt64>, _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) throws(Interrupt) {
        if let file = try main.localFile(read.id) {
            counters.countMain(.read)
            counters.bytesFromMain += Int(range.upperBound - range.lowerBound)
            if case .main = plan.source {
                try readFile(file, read, plan)
                return
            }
        }
        let call = read.call.detached()
        call.connection.park()
        main.read(read.id, range) { result in
            call.connection.unpark()
            switch result {
            case .success(let data):
                self.read(
                    call, read.arguments, have: MainBytes(range: range, data: data))
            case .failure(let status):
                self.failRead(call, (read.session, read.id), status.status)
            }
        }
    }

    /// Puts a reply together from runs of shadow, main and zeros.
    private func assemble(
        _ runs: [LayerMap.Run], _ file: SparseFile?, _ read: ReadCall,
        _ plan: SessionState.ReadPlan, _ have: MainBytes?
    ) throws(Interrupt) {
        let fromMain = runs.filter { $0.source == .below }
        if let first = fromMain.first, let last = fromMain.last {
            let needed = first.range.lowerBound..<last.range.upperBound
            guard let have, have.range.contains(needed) else {
                try readMain(needed, read, plan)
                return
            }
        }
        if file != nil { read.session.countShadowRead() }
        var failure: Errno?
        reply(read, plan) { memory in
            for run in runs {
                let start = Int(run.range.lowerBound - plan.range.lowerBound)
                let count = Int(run.range.upperBound - run.range.lowerBound)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: memory[start..<(start + count)])
                switch run.source {
                case .zeros:
                    target.initializeMemory(as: UInt8.self, repeating: 0)
                case .below:
                    guard let have else { return false }
                    let from =
                        have.data.readerIndex
                        + Int(run.range.lowerBound - have.range.lowerBound)
                    have.data.withUnsafeReadableBytes { source in
                        let offset = from - have.data.readerIndex
                        target.copyMemory(
                            from: UnsafeRawBufferPointer(
                                rebasing: source[offset..<(offset + count)]))
                    }
                case .here:
                    do throws(Errno) {
                        try file?.read(into: target, at: run.range.lowerBound)
                    } catch {
                        failure = error
                        return false
                    }
                }
            }
            return true
        }
        if let failure { throw .status(NFS3.Status(failure)) }
    }

    // MARK: WRITE and COMMIT

    func write(_ call: RPCCall, _ arguments: NFS3.Write.Arguments) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file)
            resolved = (session, id)
            let credential = credential(call)
            let wcc = try call.record.withBytes(in: arguments.data) { bytes throws(Interrupt) in
                try session.write(
                    id, offset: arguments.offset, data: bytes, stable: arguments.stable,
                    credential)
            }
            counters.bytesFromClient += arguments.data.count
            finishWrite(call, arguments, session, wcc)
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let after = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    call.reply(
                        NFS3.Write.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData(after: after))))
                }, again: { call in self.write(call, arguments) })
        }
    }

    private func finishWrite(
        _ call: RPCCall, _ arguments: NFS3.Write.Arguments, _ session: SessionState,
        _ wcc: NFS3.WCCData
    ) {
        func success(_ committed: NFS3.Stability) -> NFS3.Write.Result {
            .ok(
                NFS3.Write.Success(
                    wcc: wcc, count: arguments.count, committed: committed,
                    verifier: session.writeVerifier))
        }
        guard arguments.stable != .unstable else {
            call.reply(success(.unstable))
            return
        }
        let call = call.detachedHeader()
        call.connection.park()
        session.commit { status in
            call.connection.unpark()
            if let status {
                call.reply(
                    NFS3.Write.Result.failure(status, NFS3.ObjectChange(wcc: NFS3.WCCData())))
            } else {
                call.reply(success(.fileSync))
            }
        }
    }

    func commit(_ call: RPCCall, _ arguments: NFS3.Commit.Arguments) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file)
            resolved = (session, id)
            let wcc = try session.commitFile(id)
            let verifier = session.writeVerifier
            let call = call.detachedHeader()
            call.connection.park()
            session.commit { status in
                call.connection.unpark()
                if let status {
                    call.reply(
                        NFS3.Commit.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData())))
                } else {
                    call.reply(
                        NFS3.Commit.Result.ok(
                            NFS3.Commit.Success(wcc: wcc, verifier: verifier)))
                }
            }
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let after = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    call.reply(
                        NFS3.Commit.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData(after: after))))
                }, again: { call in self.commit(call, arguments) })
        }
    }
}

extension RPCCall {
    /// The call without its record: enough to answer it.
    fileprivate func detachedHeader() -> RPCCall {
        RPCCall(header: header, record: ByteBuffer(), connection: connection)
    }
}

extension Range {
    /// Whether all of `other` lies inside.
    fileprivate func contains(_ other: Range) -> Bool {
        lowerBound <= other.lowerBound && other.upperBound <= upperBound
    }
}
