import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import SystemPackage
import XDR

/// READ (RFC 1813 §3.3.6): from the page cache, from main, or put together from both.
extension NFSService {
    // MARK: READ

    /// - Parameter have: what was fetched for it before, when it is planned again.
    func read(_ call: RPCCall, _ arguments: NFS3.Read.Arguments, have: Fetched = Fetched()) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file, for: call)
            resolved = (session, id)
            let count = min(Int(arguments.count), call.origin.readBytesMaximum)
            let plan = try session.planRead(
                id, offset: arguments.offset, count: count, credential(call))
            let read = ReadCall(
                call: call, session: session, id: id, arguments: arguments, have: have)
            try carryOut(plan, read)
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { self.failRead(call, target, $0) },
                again: { call in self.read(call, arguments, have: have) })
        }
    }

    /// A READ on its way.
    struct ReadCall {
        let call: RPCCall
        let session: SessionState
        let id: NodeID
        let arguments: NFS3.Read.Arguments
        let have: Fetched
    }

    /// Bytes that have been fetched for a READ.
    struct Fetched {
        var main: Piece?
        /// By layer.
        var shadow: [Int64: Piece] = [:]
    }

    /// Bytes of a file; the range is not empty.
    struct Piece {
        let range: Range<UInt64>
        /// What of it was asked for. The rest means nothing, also when something was written there since.
        let parts: [Range<UInt64>]
        let data: ByteBuffer

        func covers(_ other: Range<UInt64>) -> Bool {
            parts.contains {
                $0.lowerBound <= other.lowerBound && other.upperBound <= $0.upperBound
            }
        }

        /// Where a range that it covers lies in ``data``.
        func position(of range: Range<UInt64>) -> Int {
            data.readerIndex + Int(range.lowerBound - self.range.lowerBound)
        }

        func copy(_ range: Range<UInt64>, to target: UnsafeMutableRawBufferPointer) {
            let start = Int(range.lowerBound - self.range.lowerBound)
            data.withUnsafeReadableBytes { source in
                target.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: source[start..<(start + target.count)]))
            }
        }
    }

    func failRead(
        _ call: RPCCall, _ target: (SessionState, NodeID)?, _ status: NFS3.Status
    ) {
        let attributes = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
        call.reply(NFS3.Read.Result.failure(status, NFS3.PostOperationAttributes(attributes)))
    }

    private func carryOut(_ plan: SessionState.ReadPlan, _ read: ReadCall) throws(Interrupt) {
        switch plan.source {
        case .nothing:
            reply(read, plan) { _ in true }
        case .one(.zeros):
            reply(read, plan) { memory in
                memory.initializeMemory(as: UInt8.self, repeating: 0)
                return true
            }
        case .one(.shadow(let file, let layer)):
            if let piece = read.have.shadow[layer], piece.covers(plan.range) {
                cutThrough(piece, read, plan)
            } else {
                read.session.countShadowRead()
                if try !readNow(file, read, plan) { fetch([plan.range], of: file, layer, read) }
            }
        case .one(.remote(let file)):
            if let piece = read.have.shadow[file.layer], piece.covers(plan.range) {
                cutThrough(piece, read, plan)
            } else {
                fetch([plan.range], of: file, read)
            }
        case .one(.main):
            touched(read.id, plan.range, by: read.session)
            if let piece = read.have.main, piece.covers(plan.range) {
                cutThrough(piece, read, plan)
            } else if let file = try main.localFile(read.id), try readNow(file, read, plan) {
                main.countRead(plan.range)
            } else {
                recorder(of: read.session)?.read(read.id, plan.range)
                if plan.range.lowerBound == 0 { main.filesAhead?.began(read.id) }
                if !readCached(read, plan) { fetchMain(plan.range, read) }
            }
        case .mixed(let mixed):
            try assemble(mixed, read, plan)
        }
    }

    /// Answers with `count` bytes that `fill` puts straight into the reply.
    @discardableResult
    func reply(
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
        guard isFilled else { return false }
        read.call.answered()
        counters(of: read.session).bytesToClient += count
        return true
    }

    /// Answers from the page cache.
    /// - Returns: false when the bytes are not there.
    private func readNow(
        _ file: SparseFile, _ read: ReadCall, _ plan: SessionState.ReadPlan
    ) throws(Interrupt) -> Bool {
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
        return isDone
    }

    /// Answers with blocks of main that are kept here.
    /// - Returns: false when they are not there, or not in the page cache.
    private func readCached(_ read: ReadCall, _ plan: SessionState.ReadPlan) -> Bool {
        guard let file = main.checkedFile(read.id, plan.range) else { return false }
        var outcome: CacheFile.NowaitRead?
        let isDone = reply(read, plan) { memory in
            outcome = try? file.readNowait(into: memory, at: plan.range.lowerBound)
            return outcome == .bytes
        }
        if isDone { main.countHit(file, plan.range) }
        if outcome == .lost { main.cache?.lost(file) }
        return isDone
    }

    /// Passes a piece on as it lies in the buffer that it came in.
    private func cutThrough(_ piece: Piece, _ read: ReadCall, _ plan: SessionState.ReadPlan) {
        let count = Int(plan.range.upperBound - plan.range.lowerBound)
        guard let slice = piece.data.getSlice(at: piece.position(of: plan.range), length: count)
        else {
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
        read.call.answered()
        counters(of: read.session).bytesToClient += count
    }

    /// Gets a range from main and plans again: the file may have been written meanwhile.
    func fetchMain(_ range: Range<UInt64>, _ read: ReadCall) {
        again(read, range) { call, then in
            self.main.read(read.id, range) { result in
                var have = read.have
                switch result {
                case .success(let data):
                    have.main = Piece(range: range, parts: [range], data: data)
                    then(.success(have))
                case .failure(let failure): then(.failure(failure))
                }
            }
        }
    }

    /// Gets a range of the shadow that the page cache does not hold, and plans again.
    func fetch(
        _ parts: [Range<UInt64>], of file: SparseFile, _ layer: Int64, _ read: ReadCall
    ) {
        let range = Self.hull(of: parts)
        again(read, range) { call, then in
            self.main.readOffLoop(file, range) { result in
                var have = read.have
                switch result {
                case .success(let data):
                    have.shadow[layer] = Piece(range: range, parts: parts, data: data)
                    then(.success(have))
                case .failure(let error):
                    then(.failure(MainSource.ReadFailure(status: NFS3.Status(error))))
                }
            }
        }
    }

    func again(
        _ read: ReadCall, _ range: Range<UInt64>,
        _ fetch: (RPCCall, @escaping (Result<Fetched, MainSource.ReadFailure>) -> Void) -> Void
    ) {
        let call = read.call.detached()
        let parking = call.park(holding: Int(range.upperBound - range.lowerBound))
        fetch(call) { result in
            parking.end()
            guard !call.isAbandoned else { return }
            switch result {
            case .success(let have): self.read(call, read.arguments, have: have)
            case .failure(let failure):
                self.failRead(call, (read.session, read.id), failure.status)
            }
        }
    }
}
