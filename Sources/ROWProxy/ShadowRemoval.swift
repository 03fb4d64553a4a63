public import NFSClient
import NFSProtocol
public import ROWCore

extension StoredShadow {
    /// Removes a session's directory at its server, with all that is in it.
    /// - Parameter tls: the certificates of this process.
    /// - Throws: `StateError`: what, why, and what to do.
    public func remove(tls: TLSFiles = TLSFiles()) async throws {
        guard isReady else { return }
        do {
            var options = NFSClient.Options()
            options.connection.credentials = TLSCredentials(tls)
            let client = try await NFSClient.connect(NFSURL(url), options: options)
            do {
                try await remove(with: client)
                await client.close()
            } catch {
                await client.close()
                throw error
            }
        } catch {
            throw StateError(
                .io,
                "the session's data on \(url) (directory \(directory)) cannot be removed: \(error); "
                    + "try again when that is put right, or give --leave-server-data to remove the "
                    + "rest and leave that directory to its administrator")
        }
    }

    private func remove(with client: NFSClient) async throws {
        let folder: NFS3.FileHandle
        switch try await client.lookup(NFS3.Filename(directory), in: client.rootHandle) {
        case .failure(.noent, _): return
        case .failure(let status, _): throw Refused(what: "LOOKUP", status: status)
        case .ok(let ok): folder = ok.object
        }
        // From the start each time: what is removed moves what follows.
        while true {
            let names = try await page(of: folder, client)
            if names.isEmpty { break }
            for name in names {
                let result = try await client.remove(name, in: folder)
                guard result.status == .ok || result.status == .noent else {
                    throw Refused(what: "REMOVE of \(name)", status: result.status)
                }
            }
        }
        let result = try await client.rmdir(NFS3.Filename(directory), in: client.rootHandle)
        guard result.status == .ok || result.status == .noent else {
            throw Refused(what: "RMDIR", status: result.status)
        }
    }

    private func page(
        of folder: NFS3.FileHandle, _ client: NFSClient
    ) async throws -> [NFS3.Filename] {
        var (cookie, verifier) = (UInt64(0), UInt64(0))
        while true {
            switch try await client.readdir(
                folder, cookie: cookie, cookieVerifier: verifier, count: 32 << 10)
            {
            case .failure(let status, _): throw Refused(what: "READDIR", status: status)
            case .ok(let page):
                let names = page.entries.map(\.name).filter { $0.description != "." }
                    .filter { $0.description != ".." }
                guard names.isEmpty, !page.eof, let last = page.entries.last, last.cookie != cookie
                else { return names }
                (cookie, verifier) = (last.cookie, page.cookieVerifier)
            }
        }
    }

    private struct Refused: Error, CustomStringConvertible {
        let what: String
        let status: NFS3.Status

        var description: String { "the server answers \(status) to \(what)" }
    }
}
