import NFSClient
import NIOCore
import ONCRPC
import ROWCore

/// When what is done about the servers of an image without being asked for.
struct ReplicaTiming: Sendable {
    /// Between two probes of those that are ready.
    var probe = TimeAmount.seconds(5)
    /// Until one that was refused is looked at again.
    var recheck = TimeAmount.seconds(60)
    /// From the start to the first look whether the image has changed.
    var changesFirst = TimeAmount.seconds(10)
    /// Between two such looks.
    var changes = TimeAmount.hours(1)
    /// How long a file that was found changed is stale without asking again.
    var stale = TimeAmount.seconds(30)

    /// What each call of a connection attempt may take, and a check. No client waits for these.
    static let connectTimeout = TimeAmount.seconds(10)
}

/// What the servers of an image have in common.
struct ReplicaSettings {
    let options: NFSClient.Options
    /// How long a client's call may wait for any of them.
    let timeout: TimeAmount
    let timing: ReplicaTiming
    let image: ImageStore
    let counters: Counters
    let loop: any EventLoop
    let events: EventLog

    func onEvent(_ message: String, _ level: Proxy.Event.Level = .warning) {
        events.add(message, level)
    }

    var credential: RPC.Credential { options.credential }

    /// How long a server may send nothing while others are ready.
    var silenceMaximum: TimeAmount { min(timeout / 4, .seconds(3)) }
    /// How long it may work at one call other than READ while others are ready.
    var callMaximum: TimeAmount { max(timeout / 2, silenceMaximum) }
    /// The same of a READ, which may well wait long behind others on a slow way.
    var readMaximum: TimeAmount { max(timeout / 4 * 3, silenceMaximum) }
}

extension TimeAmount {
    static func / (amount: TimeAmount, divisor: Int64) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / divisor)
    }
}
