public import NIOCore
public import XDR

/// The record of a successful reply (RFC 5531 §9).
public struct RPCReply: Sendable {
    /// The whole record without its record mark: a slice of a receive buffer, which it keeps alive.
    public let buffer: ByteBuffer
    /// Where the results start, in bytes from the start of the record.
    public let resultsOffset: Int

    public init(buffer: ByteBuffer, resultsOffset: Int) {
        self.buffer = buffer
        self.resultsOffset = resultsOffset
    }

    /// Reads the results, which must take up the rest of the record. Byte ranges in them (the data of
    /// READ) count from the start of the record: see ``slice(_:)``.
    /// - Throws: ``NFSClientError/Code/malformedReply``.
    @inlinable
    public func decode<Results: XDRDecodable>(
        _: Results.Type = Results.self
    ) throws(NFSClientError) -> Results {
        do throws(XDRError) {
            var decoder = Decoder(buffer.readableBytesSpan, at: resultsOffset)
            let results = try Results(from: &decoder)
            try decoder.finish()
            return results
        } catch {
            throw NFSClientError(
                .malformedReply, "A reply does not have the form of \(Results.self). \(error)")
        }
    }

    /// A part of the record, without copying it.
    /// - Parameter range: in bytes from the start of the record, and inside it.
    @inlinable
    public func slice(_ range: Range<Int>) -> ByteBuffer {
        buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count)!
    }
}
