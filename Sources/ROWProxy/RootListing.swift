import NFSProtocol
import NIOCore
import ROWCore

/// What is in an image's root, for a comparison.
struct RootListing {
    struct Entry {
        let name: [UInt8]
        let attributes: NFS3.Attributes?
        /// At the server that was listed.
        let handle: NFS3.FileHandle?
    }

    let entries: [Entry]
    let isWhole: Bool

    /// Which name one of the two has and the other has not; nil when there is none.
    func names(unlike wanted: RootListing) -> String? {
        let (here, there) = (Set(wanted.entries.map(\.name)), Set(entries.map(\.name)))
        func text(_ name: [UInt8]) -> String { "/" + String(decoding: name, as: UTF8.self) }
        if let missing = here.subtracting(there).first {
            return "\(text(missing)) is missing there"
        }
        if let extra = there.subtracting(here).first { return "\(text(extra)) is only there" }
        return nil
    }
}

extension Replica {
    /// Lists the root, up to `maximum` entries and what comes with the last of them.
    /// - Returns: nil where there is no READDIRPLUS.
    func rootListing(
        maximum: Int, by deadline: Deadline,
        then: @escaping (Result<RootListing?, Failure>) -> Void
    ) {
        guard let rootHandle else { return then(.failure(.away)) }
        let dots: [[UInt8]] = [[46], [46, 46]]
        var entries: [RootListing.Entry] = []
        func page(_ cookie: UInt64, _ verifier: UInt64) {
            let arguments = NFS3.Readdirplus.Arguments(
                directory: rootHandle, cookie: cookie, cookieVerifier: verifier,
                dircount: 64 << 10, maxcount: 64 << 10)
            call(
                .readdirplus, arguments, NFS3.Readdirplus.Result.self, on: .root, by: deadline
            ) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.failure(.notSupp, _)): then(.success(nil))
                case .success(.failure(let status, _)): then(.failure(.status(status)))
                case .success(.ok(let ok)):
                    for entry in ok.entries where !dots.contains(entry.name.bytes) {
                        entries.append(
                            RootListing.Entry(
                                name: entry.name.bytes, attributes: entry.attributes,
                                handle: entry.handle))
                    }
                    guard !ok.eof, entries.count < maximum, let last = ok.entries.last,
                        last.cookie != cookie
                    else {
                        return then(.success(RootListing(entries: entries, isWhole: ok.eof)))
                    }
                    page(last.cookie, ok.cookieVerifier)
                }
            }
        }
        page(0, 0)
    }
}
