import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// The bytes of files at one server.
extension Replica {
    typealias DataCompletion = (Result<ByteBuffer, Failure>) -> Void

    /// READs a range in pieces when it is longer than one READ, or when the server answers with less.
    func read(
        _ id: NodeID, _ range: Range<UInt64>, by deadline: Deadline,
        then: @escaping DataCompletion
    ) {
        read(Piece(id: id, range: range, deadline: deadline), then: then)
    }

    /// What is missing of a range, and who asks.
    private struct Piece {
        let id: NodeID
        let range: Range<UInt64>
        let deadline: Deadline
        var have: ByteBuffer?
        var credential: RPC.Credential?
    }

    private func read(_ piece: Piece, then: @escaping DataCompletion) {
        let start = piece.range.lowerBound + UInt64(piece.have?.readableBytes ?? 0)
        let count = min(piece.range.upperBound - start, UInt64(NFS3.transferSizeMaximum))
        withHandle(piece.id, by: piece.deadline, fail: { then(.failure($0)) }) { handle, again in
            let arguments = NFS3.Read.Arguments(file: handle, offset: start, count: UInt32(count))
            self.send(.read, arguments, as: piece.credential, by: piece.deadline) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(let reply):
                    self.received(reply, ofAtMost: Int(count), handle, piece, again, then)
                }
            }
        }
    }

    /// - Parameter maximum: the bytes that were asked for.
    private func received(
        _ reply: RPCReply, ofAtMost maximum: Int, _ handle: NFS3.FileHandle, _ piece: Piece,
        _ again: () -> Bool,
        _ then: @escaping DataCompletion
    ) {
        var piece = piece
        let id = piece.id
        let result: NFS3.Read.Result
        do {
            var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
            result = try NFS3.Read.Result(from: &decoder)
        } catch {
            onEvent("'s reply to READ is malformed: \(error)")
            then(.failure(.status(.io)))
            return
        }
        switch result {
        case .failure(let status, _) where status.isLostHandle:
            if !again() { then(.failure(.status(.stale))) }
        case .failure(.acces, _):
            guard let owner = credential(for: id, refused: piece.credential) else {
                return then(.failure(.status(.acces)))
            }
            piece.credential = owner
            read(piece, then: then)
        case .failure(let status, _):
            then(.failure(.status(status)))
        case .ok(let ok) where ok.data.count > maximum:
            onEvent("'s reply to READ has \(ok.data.count) bytes where \(maximum) were asked for")
            then(.failure(.status(.io)))
        case .ok(let ok):
            guard let attributes = ok.attributes else {
                // Which version of the file the bytes are of must be known.
                getattr(handle, by: piece.deadline) { found in
                    switch found {
                    case .failure(let failure): then(.failure(failure))
                    case .success(let entry):
                        self.take(ok.data, of: reply, entry.attributes, piece, then)
                    }
                }
                return
            }
            take(ok.data, of: reply, attributes, piece, then)
        }
    }

    private func take(
        _ range: Range<Int>, of reply: RPCReply, _ attributes: NFS3.Attributes, _ piece: Piece,
        _ then: @escaping DataCompletion
    ) {
        // All of the range lies below the size that the image is known to have.
        guard self.attributes(of: piece.id)?.isSame(as: attributes, owner) ?? true, !range.isEmpty,
            let data = reply.buffer.getSlice(
                at: reply.buffer.readerIndex + range.lowerBound, length: range.count)
        else { return then(.failure(.differs(piece.id))) }
        settings.counters.bytesFromMain += range.count
        var all = piece.have ?? data
        if piece.have != nil { all.writeImmutableBuffer(data) }
        if UInt64(all.readableBytes) >= piece.range.upperBound - piece.range.lowerBound {
            then(.success(all))
        } else {
            owner.answeredShort(range.count)
            var piece = piece
            piece.have = all
            read(piece, then: then)
        }
    }

    /// Reads the beginning of an object of which nothing is known but its handle.
    /// - Returns: fewer than `count` bytes where it ends before.
    func readStart(
        of handle: NFS3.FileHandle, count: Int, have: ByteBuffer = ByteBuffer(),
        by deadline: Deadline, then: @escaping DataCompletion
    ) {
        let arguments = NFS3.Read.Arguments(
            file: handle, offset: UInt64(have.readableBytes),
            count: UInt32(count - have.readableBytes))
        send(.read, arguments, as: nil, by: deadline) { result in
            guard case .success(let reply) = result else {
                return then(result.map { _ in have })
            }
            var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
            switch try? NFS3.Read.Result(from: &decoder) {
            case nil: then(.failure(.status(.io)))
            case .failure(let status, _): then(.failure(.status(status)))
            case .ok(let ok):
                var all = have
                guard ok.data.count <= Int(arguments.count) else {
                    return then(.failure(.status(.io)))
                }
                if let data = reply.buffer.getSlice(
                    at: reply.buffer.readerIndex + ok.data.lowerBound, length: ok.data.count)
                {
                    all.writeImmutableBuffer(data)
                }
                if ok.data.isEmpty || ok.eof || all.readableBytes >= count {
                    then(.success(all))
                } else {
                    self.readStart(of: handle, count: count, have: all, by: deadline, then: then)
                }
            }
        }
    }
}
