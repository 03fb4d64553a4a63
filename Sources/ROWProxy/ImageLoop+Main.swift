import NFSClient
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// How an image on servers is opened.
extension ImageLoop {
    /// Opens what is known of it.
    /// - Parameter first: a server that has just told of its root.
    static func openStore(
        _ configuration: Proxy.Configuration, _ urls: [NFSURL],
        _ first: (index: Int, opened: Replica.Opened)?, _ isDurable: Bool,
        _ executor: @escaping LoopExecutor
    ) throws(StateError) -> ImageStore {
        let source = configuration.image.canonicalName
        let served = LastServed(
            servers: Proxy.Image.text(of: urls), cacheLimit: configuration.cacheSize.bytes,
            manifestRoot: configuration.manifestRoot)
        return try ImageStore(
            directory: configuration.state.image(source), source: source,
            root: first.map {
                MainEntry(
                    attributes: $0.opened.attributes, handle: $0.opened.client.rootHandle)
            },
            servers: urls.map { Proxy.canonicalName(of: $0) }, rootServer: first?.index ?? 0,
            served: configuration.isPassing ? nil : served, isDurable: isDurable, loop: executor)
    }

    /// Opens what is kept of its blocks, and what compares them.
    /// - Returns: nil where nothing is kept.
    static func openCache(
        of remote: RemoteImage, _ configuration: Proxy.Configuration, _ pool: NIOThreadPool
    ) throws -> CachedReads? {
        let settings = remote.settings
        let directory = configuration.state.image(configuration.image.canonicalName)
        // A task goes by how the image was served last. The size of the cache then is in the database.
        let last = configuration.isPassing ? LastServed.read(directory)?.cacheLimit : nil
        let limit = configuration.givenCacheSize?.bytes ?? last
        guard limit != 0 else {
            guard configuration.manifestRoot == nil else {
                throw ConfigurationError(
                    message:
                        "the image's publisher has signed its content, and without a cache no block "
                        + "is compared with that: give --cache-size another size than 0")
            }
            return nil
        }
        let cache = BlockCache(
            directory: CacheDirectory(image: directory),
            limit: limit ?? Proxy.Configuration.cacheSizeDefault.bytes,
            hasRoomForAll: configuration.isPassing && limit == nil, image: settings.image,
            loop: settings.loop, pool: pool, onEvent: { settings.onEvent($0) })
        cache.index.pinned = try settings.image.pinned()
        let reads = CachedReads(cache: cache, remote: remote, counters: settings.counters)
        remote.cachedBytes = { cache.readIfKept($0, $1, then: $2) }
        let manifest = ImageManifest(
            of: remote, reads: reads, directory: directory,
            expectedRoot: configuration.manifestRoot,
            copies: copies(in: configuration.state, of: directory, settings), pool: pool)
        remote.manifest = manifest
        reads.manifest = manifest
        return reads
    }

    /// Where blocks of other images are on this machine. Without that all works, but for what is saved.
    private static func copies(
        in state: StateDirectory, of directory: FilePath, _ settings: ReplicaSettings
    ) -> ChunkCopies? {
        do {
            return ChunkCopies(
                try ChunkIndex(state: state.layout),
                image: directory.lastComponent?.string ?? "", loop: settings.loop)
        } catch {
            settings.onEvent("blocks of other images cannot be found: \(error)")
            return nil
        }
    }
}
