import Foundation
import NFSClient
import ROWProxy

/// How long a server's answers are on their way.
enum LatencyCheck {
    private static let comfortable = Duration.milliseconds(50)

    /// - Parameter time: of an empty call and its answer.
    static func finding(
        _ time: Duration, _ url: NFSURL, _ image: Plan.Image, _ state: StateDirectory
    ) -> Finding {
        let text = text(time)
        guard time > comfortable else { return .fine(.latency, url.description, text) }
        if image.cacheSize.bytes == 0 {
            return .warning(
                .latency, url.description, "each answer takes \(text), and nothing is kept here",
                because: "everything that clients read comes from afar, every time",
                remedy: "set \(image.setting("cache-size")) to 10G, or leave it out")
        }
        let kept = KeptBlocks.bytes(of: image, in: state)
        guard kept == 0, !image.hasProfile else {
            return .fine(
                .latency, url.description,
                "each answer takes \(text); \(kept >> 10) KiB are kept here")
        }
        return .warning(
            .latency, url.description, "each answer takes \(text), and nothing is kept here yet",
            because: "the first look at everything is slow",
            remedy: "rowctl prefetch '\(image.source)' --all, or give a --profile of what is read")
    }

    static func text(_ time: Duration) -> String {
        String(format: "%.1f ms", time / .milliseconds(1))
    }
}
