import Foundation
import NFSClient
import NFSProtocol

/// A listing of a directory, page by page.
struct Listing {
    let client: NFSClient
    let directory: NFS3.FileHandle
    /// READDIRPLUS or READDIR.
    let procedure: NFS3.Procedure
    var isAtEnd = false
    private var cookie: UInt64 = 0
    private var verifier: UInt64 = 0

    init(client: NFSClient, directory: NFS3.FileHandle, procedure: NFS3.Procedure) {
        self.client = client
        self.directory = directory
        self.procedure = procedure
    }

    /// The names of the next page.
    mutating func next() async throws -> [String] {
        if procedure == .readdirplus {
            let result = try await client.readdirplus(
                directory, cookie: cookie, cookieVerifier: verifier, dircount: 32768,
                maxcount: 32768)
            guard case .ok(let page) = result else { throw POSIXError(.EIO) }
            advance(page.entries.last?.cookie, page.cookieVerifier, page.eof)
            return page.entries.map(\.name.description)
        }
        let result = try await client.readdir(
            directory, cookie: cookie, cookieVerifier: verifier, count: 32768)
        guard case .ok(let page) = result else { throw POSIXError(.EIO) }
        advance(page.entries.last?.cookie, page.cookieVerifier, page.eof)
        return page.entries.map(\.name.description)
    }

    private mutating func advance(_ cookie: UInt64?, _ verifier: UInt64, _ isAtEnd: Bool) {
        self.cookie = cookie ?? self.cookie
        self.verifier = verifier
        self.isAtEnd = isAtEnd
    }
}

extension NFSClient {
    /// The handle of what has a name.
    func object(_ name: String, in directory: NFS3.FileHandle) async throws -> NFS3.FileHandle {
        guard case .ok(let found) = try await lookup(NFS3.Filename(Array(name.utf8)), in: directory)
        else { throw POSIXError(.ENOENT) }
        return found.object
    }
}
