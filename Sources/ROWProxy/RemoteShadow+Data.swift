import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import XDR

/// READ and WRITE of sparse files at the shadow server, in pieces that it takes.
extension RemoteShadow {
    // MARK: Writing

    /// Bytes and where in the file they go.
    struct Segment {
        let offset: UInt64
        let data: ByteBuffer
    }

    /// Puts the zeros that belong to a write around it.
    static func segments(of write: SessionState.RemoteWrite, _ data: ByteBuffer) -> [Segment] {
        let after = write.zeros.after
        let adjoining = after?.lowerBound == write.range.upperBound ? after : nil
        var segments: [Segment] = []
        if write.zeros.before == nil, adjoining == nil {
            segments.append(Segment(offset: write.range.lowerBound, data: data))
        } else {
            let (before, behind) = (write.zeros.before?.count ?? 0, adjoining?.count ?? 0)
            var whole = ByteBufferAllocator().buffer(
                capacity: before + data.readableBytes + behind)
            whole.writeRepeatingByte(0, count: before)
            whole.writeImmutableBuffer(data)
            whole.writeRepeatingByte(0, count: behind)
            segments.append(
                Segment(offset: write.range.lowerBound - UInt64(before), data: whole))
        }
        if let after, adjoining == nil {
            segments.append(
                Segment(
                    offset: after.lowerBound, data: ByteBuffer(repeating: 0, count: after.count)))
        }
        return segments
    }

    /// One write, in as many WRITEs as it takes.
    private final class Writing {
        var written = ShadowWritten()
        var failure: ShadowFailure?
        var remaining = 1
        let then: (Result<ShadowWritten, ShadowFailure>) -> Void

        init(_ then: @escaping (Result<ShadowWritten, ShadowFailure>) -> Void) { self.then = then }

        func ended(_ failure: ShadowFailure? = nil) {
            self.failure = self.failure ?? failure
            remaining -= 1
            guard remaining == 0 else { return }
            then(self.failure.map { .failure($0) } ?? .success(written))
        }
    }

    /// WRITEs UNSTABLE. The server's answer is waited for, however long: until then nobody knows what
    /// it will do to these bytes.
    func write(
        _ file: LayerID, _ segments: [Segment],
        then: @escaping (Result<ShadowWritten, ShadowFailure>) -> Void
    ) {
        let writing = Writing(then)
        for segment in segments {
            var rest = segment.data
            var offset = segment.offset
            while let piece = rest.readSlice(length: min(rest.readableBytes, limits.writeBytes)),
                piece.readableBytes > 0
            {
                writing.remaining += 1
                write(file, piece, at: offset, writing)
                offset += UInt64(piece.readableBytes)
            }
        }
        writing.ended()
    }

    private func write(
        _ file: LayerID, _ data: ByteBuffer, at offset: UInt64, _ writing: Writing
    ) {
        withHandle(file, fail: { writing.ended($0) }) { handle, again in
            let count = data.readableBytes
            self.call(
                .write,
                NFS3.Write.Arguments(
                    file: handle, offset: offset, count: UInt32(count), stable: .unstable,
                    data: 0..<count),
                payload: data, isPatient: true, NFS3.Write.Result.self
            ) { result in
                switch result {
                case .failure(let failure): writing.ended(failure)
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    writing.ended(self.failure(status, "WRITE to \(file)"))
                case .success(.ok(let ok)):
                    guard ok.count > 0, ok.count <= count else {
                        self.onEvent(
                            "the shadow server says that it wrote \(ok.count) of \(count) bytes")
                        writing.ended(ShadowFailure(.io))
                        return
                    }
                    writing.written.add(
                        verifier: ok.committed == .unstable ? ok.verifier : nil,
                        allocatedBytes: ok.wcc.after?.used)
                    guard Int(ok.count) < count else { return writing.ended() }
                    let rest = data.getSlice(
                        at: data.readerIndex + Int(ok.count), length: count - Int(ok.count))
                    self.write(
                        file, rest ?? ByteBuffer(), at: offset + UInt64(ok.count), writing)
                }
            }
        }
    }

    // MARK: Reading

    /// READs a range, in pieces when it is longer than one READ or when the server answers with less.
    /// What lies past the file's end is zeros.
    func read(
        _ file: LayerID, _ range: Range<UInt64>, have: ByteBuffer? = nil,
        then: @escaping (Result<ByteBuffer, ShadowFailure>) -> Void
    ) {
        let start = range.lowerBound + UInt64(have?.readableBytes ?? 0)
        let count = min(Int(range.upperBound - start), limits.readBytes)
        withHandle(file, fail: { then(.failure($0)) }) { handle, again in
            let arguments = NFS3.Read.Arguments(file: handle, offset: start, count: UInt32(count))
            self.send(.read, arguments) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(let reply):
                    do throws(XDRError) {
                        var decoder = Decoder(
                            reply.buffer.readableBytesSpan, at: reply.resultsOffset)
                        switch try NFS3.Read.Result(from: &decoder) {
                        case .failure(let status, _):
                            if status.isLostHandle, again() { return }
                            then(.failure(self.failure(status, "READ of \(file)")))
                        case .ok(let ok):
                            let data = reply.slice(ok.data)
                            self.received(data, ok.eof, count, file, range, have, then)
                        }
                    } catch {
                        self.onEvent("the shadow server's reply to READ is malformed: \(error)")
                        then(.failure(ShadowFailure(.io)))
                    }
                }
            }
        }
    }

    private func received(
        _ data: ByteBuffer, _ isLast: Bool, _ count: Int, _ file: LayerID,
        _ range: Range<UInt64>, _ have: ByteBuffer?,
        _ then: @escaping (Result<ByteBuffer, ShadowFailure>) -> Void
    ) {
        guard data.readableBytes <= count, isLast || data.readableBytes > 0 else {
            onEvent("the shadow server answers \(data.readableBytes) bytes to a READ of \(count)")
            then(.failure(ShadowFailure(.io)))
            return
        }
        let whole = Int(range.upperBound - range.lowerBound)
        var all = have ?? data
        if have != nil { all.writeImmutableBuffer(data) }
        if all.readableBytes < whole, isLast {
            all.writeRepeatingByte(0, count: whole - all.readableBytes)
        }
        if all.readableBytes == whole {
            then(.success(all))
        } else {
            read(file, range, have: all, then: then)
        }
    }
}
