import NFSClient
import NFSProtocol
import ROWCore

/// The listing of directories: READDIRPLUS (RFC 1813 §3.3.17), or READDIR and LOOKUP where there is
/// none.
extension NFSImageSource {
    struct ImportKey: Hashable {
        let image: UInt64
        let directory: NodeID
    }

    /// How far the listing of a directory has come. Soft: when it is lost the import starts again.
    struct Import {
        var cookie: UInt64 = 0
        var verifier: UInt64 = 0
        /// READDIRPLUS is not supported.
        var isPlain = false
    }

    private struct Listed: Sendable {
        let name: NFS3.Filename
        var attributes: NFS3.Attributes?
        var handle: NFS3.FileHandle?
    }

    private static let importsMaximum = 256
    private static let pageBytes: UInt32 = 64 << 10
    /// LOOKUPs at the same time for what a page left out.
    private static let lookupsMaximum = 16

    func page(of directory: ImageObject) async throws(ROWError) -> FetchResult {
        let key = ImportKey(image: directory.image, directory: directory.id)
        let state = imports.removeValue(forKey: key) ?? Import()
        do {
            return try await page(of: directory, state, key)
        } catch {
            // The listing starts again, at once where only the place in it is lost.
            guard error.code == .status(.badCookie), state.cookie != 0 else { throw error }
            return try await page(of: directory, Import(isPlain: state.isPlain), key)
        }
    }

    private func page(
        of directory: ImageObject, _ state: Import, _ key: ImportKey
    ) async throws(ROWError) -> FetchResult {
        var isPlain = state.isPlain
        if !isPlain {
            do {
                return try await fullPage(of: directory, state, key)
            } catch {
                guard error.code == .status(.notSupp) else { throw error }
                isPlain = true
            }
        }
        return try await plainPage(of: directory, state, key)
    }

    private func fullPage(
        of directory: ImageObject, _ state: Import, _ key: ImportKey
    ) async throws(ROWError) -> FetchResult {
        let page = try await withHandle(of: directory) { client, handle in
            try await client.readdirplus(
                handle, cookie: state.cookie, cookieVerifier: state.verifier,
                dircount: Self.pageBytes, maxcount: Self.pageBytes
            ).value
        }
        let next = try after(
            state, page.entries.last?.cookie, page.cookieVerifier, page.eof, isPlain: false)
        let listed = page.entries.map {
            Listed(name: $0.name, attributes: $0.attributes, handle: $0.handle)
        }
        return try await finish(listed, of: directory, next, key)
    }

    private func plainPage(
        of directory: ImageObject, _ state: Import, _ key: ImportKey
    ) async throws(ROWError) -> FetchResult {
        let page = try await withHandle(of: directory) { client, handle in
            try await client.readdir(
                handle, cookie: state.cookie, cookieVerifier: state.verifier, count: 8192
            ).value
        }
        let next = try after(
            state, page.entries.last?.cookie, page.cookieVerifier, page.eof, isPlain: true)
        return try await finish(
            page.entries.map { Listed(name: $0.name) }, of: directory, next, key)
    }

    /// - Parameter state: where the page began.
    /// - Returns: where to go on; nil at the end.
    private func after(
        _ state: Import, _ cookie: UInt64?, _ verifier: UInt64, _ isLast: Bool, isPlain: Bool
    ) throws(ROWError) -> Import? {
        guard !isLast else { return nil }
        guard let cookie, cookie != state.cookie else {
            throw ROWError(.status(.io), "a listing of \(name) does not go on")
        }
        return Import(cookie: cookie, verifier: verifier, isPlain: isPlain)
    }

    private func finish(
        _ listed: [Listed], of directory: ImageObject, _ next: Import?, _ key: ImportKey
    ) async throws(ROWError) -> FetchResult {
        let entries = try await complete(listed, of: directory)
        if let next {
            if imports.count >= Self.importsMaximum { imports.removeAll() }
            imports[key] = next
        }
        return .page(entries, isLast: next == nil)
    }

    /// Looks up what the listing left out.
    private func complete(
        _ listed: [Listed], of directory: ImageObject
    ) async throws(ROWError) -> [(name: [UInt8], entry: MainEntry)] {
        let dots: [[UInt8]] = [[46], [46, 46]]
        let listed = listed.filter { !dots.contains($0.name.bytes) }
        let entries = try await withHandle(of: directory) { client, handle in
            try await self.entries(listed, in: handle, client)
        }
        return zip(listed, entries).compactMap { item, entry in
            entry.map { (name: item.name.bytes, entry: $0) }
        }
    }

    /// - Returns: in the same order; nil for a name that is gone.
    private nonisolated func entries(
        _ listed: [Listed], in directory: NFS3.FileHandle, _ client: NFSClient
    ) async throws -> [MainEntry?] {
        try await withThrowingTaskGroup(of: (Int, MainEntry?).self) { group in
            var entries = [MainEntry?](repeating: nil, count: listed.count)
            var underWay = 0
            for (index, item) in listed.enumerated() {
                if let attributes = item.attributes, let handle = item.handle {
                    entries[index] = MainEntry(attributes: attributes, handle: handle)
                    continue
                }
                if underWay == Self.lookupsMaximum, let (done, entry) = try await group.next() {
                    entries[done] = entry
                    underWay -= 1
                }
                underWay += 1
                group.addTask {
                    (index, try await self.entry(item.name, in: directory, client))
                }
            }
            for try await (done, entry) in group { entries[done] = entry }
            return entries
        }
    }
}
