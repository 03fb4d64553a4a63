import NFSClient
import NFSProtocol

/// Whether a server takes root for root: rowfs reads as root for all clients, and decides itself who may.
struct SquashCheck {
    let client: NFSClient
    let url: NFSURL
    let image: Plan.Image

    private static let samples = 8
    private static let listingBytes: UInt32 = 64 << 10

    func findings() async throws -> [Finding] {
        do {
            guard try await mayRead(client.rootHandle, [.read, .lookup]) else {
                return [squashed("its root directory", isAll: true)]
            }
            let samples = try await samples()
            for sample in samples where try await !mayRead(sample, .read) {
                return [squashed("something in its root directory", isAll: false)]
            }
            let found =
                samples.isEmpty
                ? "root may read its root directory" : "root may read what only root may"
            return [.fine(.squash, url.description, found)]
        } catch let error as NFSClientError {
            return [
                .warning(
                    .squash, url.description, "it did not tell what root may read: \(error)",
                    because: "clients would meet the same", remedy: "look at the server's log")
            ]
        }
    }

    private func squashed(_ what: String, isAll: Bool) -> Finding {
        let remedy =
            "export with no_root_squash there (/etc/exports, and exportfs -r; nfs-ganesha: "
            + "Squash = No_Root_Squash), read-only"
        let found = "it takes root for nobody, who may not read \(what)"
        return isAll
            ? .problem(
                .squash, url.description, found, because: "clients see nothing of the image",
                remedy: remedy)
            : .warning(
                .squash, url.description, found,
                because: "what only root or an owner may read cannot be read by anybody: machines "
                    + "do not boot from it", remedy: remedy)
    }

    private func mayRead(
        _ object: NFS3.FileHandle, _ rights: NFS3.AccessRights
    ) async throws -> Bool {
        guard case .ok(let answer) = try await client.access(object, rights) else { return false }
        return answer.access.isSuperset(of: rights)
    }

    /// Some of what only root, or nobody but its owner, may read.
    private func samples() async throws -> [NFS3.FileHandle] {
        let result = try await client.readdirplus(
            client.rootHandle, dircount: Self.listingBytes, maxcount: Self.listingBytes)
        guard case .ok(let listing) = result else { return [] }
        let closed = listing.entries.filter { entry in
            guard let attributes = entry.attributes,
                ![Array(".".utf8), Array("..".utf8)]
                    .contains(entry.name.bytes)
            else { return false }
            return attributes.mode & 0o004 == 0
                && [.regular, .directory].contains(attributes.type)
        }
        return closed.prefix(Self.samples).compactMap(\.handle)
    }
}
