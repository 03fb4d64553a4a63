import Foundation

@testable import ROWProxy

/// The control socket: whatever is sent, there is an answer or an end, and the next is answered.
final class ControlTarget: FuzzTarget {
    private let live: LiveProxy

    init() throws { live = try LiveProxy("control") }

    func seeds() throws -> [[UInt8]] {
        var configuration = live.proxy.configuration
        configuration.session = "other"
        let requests: [ControlRequest] = [
            .status(session: "fuzz"), .mark(session: "fuzz", text: "begin"),
            .saveHistory(session: "fuzz"), .letGo(session: "fuzz"), .machines,
            .change(session: "fuzz", .takeSnapshot(tag: "one")),
            .change(session: "fuzz", .rollBack(tag: "one")),
            .change(session: "fuzz", .clone(name: "copy", tag: nil)),
            .task(.list), .task(.verify), .task(.drop(paths: [""])), .task(.pin(paths: ["file"])),
            .task(.prefetch(paths: ["file", "directory"], bytesPerSecond: 1_000_000)),
            .join(
                configuration.sessionOptions, Proxy.SharedSettings(configuration)),
        ]
        return try requests.map { Array(try JSONEncoder().encode($0)) }
    }

    func take(_ bytes: [UInt8]) {
        do {
            _ = try live.isRenewed()
            let stream = try live.connectToControl()
            stream.send(bytes + [0x0a])
            stream.endSending()
            while true {
                let answer = stream.receiveSome()
                guard !answer.isEmpty, answer.last != 0x0a else { break }
            }
            let next = try live.connectToControl()
            next.send(Array(try JSONEncoder().encode(ControlRequest.machines)) + [0x0a])
            var line: [UInt8] = []
            while line.last != 0x0a {
                let some = next.receiveSome()
                must(!some.isEmpty, "it does not answer any more")
                line += some
            }
            _ = try JSONDecoder().decode(ControlAnswer.self, from: Data(line))
        } catch {
            must(false, "\(error)")
        }
    }
}
