import ROWCore
import ROWProxy

/// What is kept of an image on this machine.
enum KeptBlocks {
    static func bytes(of image: Plan.Image, in state: StateDirectory) -> UInt64 {
        guard let first = image.servers.first else { return 0 }
        let directory = state.image(Proxy.canonicalName(of: first))
        return CacheDirectory(image: directory).scan().reduce(0) { $0 + $1.allocated }
    }
}
