import Foundation
import NIOCore
import ROWCore
import SystemPackage

/// A machine without a disk that boots here, and the session that has its root.
///
/// Loop-confined.
final class Machine {
    let identity: MachineIdentity
    /// The name of its session.
    let session: String
    /// Where it was seen last, and what it calls itself, if it said so.
    var address: String
    var hostname: String?
    private(set) var stage: Stage
    private(set) var stageTime = Date()
    /// Its firmware has asked for what it boots from, and what ran before is no more.
    private(set) var bootingSince: NIODeadline?
    /// Changes that its session had seen when it mounted.
    private var changesAtMount = 0

    /// How far it has come.
    enum Stage: String {
        /// It has an address.
        case dhcp
        /// It loads what it boots from.
        case loading
        /// It has mounted its root.
        case mounted
        /// It has changed something there.
        case running
    }

    init(_ identity: MachineIdentity, session: String, address: String, stage: Stage) {
        self.identity = identity
        self.session = session
        self.address = address
        self.stage = stage
    }

    func reach(_ stage: Stage) {
        self.stage = stage
        stageTime = Date()
    }

    /// Its firmware begins.
    func startsBooting() {
        bootingSince = .now()
        reach(.loading)
    }

    /// - Parameter changes: that its session has seen.
    func hasMounted(changes: Int) {
        bootingSince = nil
        changesAtMount = changes
        reach(.mounted)
    }

    /// Something came by a connection that is as old as this: when that is older than the boot, then nothing
    /// boots, and whoever asked for a boot file was a program. A little older it may be, as one may hear
    /// late of what was sent by TFTP.
    func heard(by connectionOpened: NIODeadline) {
        if let since = bootingSince, connectionOpened < since - .seconds(5) { bootingSince = nil }
    }

    /// - Parameter changes: that its session has seen; nil without one.
    func status(changes: Int?, lastSeen: Double?) -> SessionStatus.Machine {
        let runs = stage == .mounted && (changes ?? 0) > changesAtMount
        var status = SessionStatus.Machine(
            address: address, hostname: hostname, stage: (runs ? .running : stage).rawValue,
            lastSeen: lastSeen ?? stageTime.timeIntervalSince1970)
        if case .mac(let card) = identity { status.mac = card }
        return status
    }

    // MARK: On disk

    /// What its session's directory says of it, so that the session is known for its own when the process
    /// is another.
    private struct Stored: Codable {
        var image: String
        var identity: MachineIdentity
        var address: String
        var hostname: String?
    }

    private static let fileName = "machine.json"

    /// - Parameter image: the name under which machines mount the image.
    func write(to directory: FilePath, image: String) throws {
        let stored = Stored(
            image: image, identity: identity, address: address, hostname: hostname)
        try SmallFile.write(
            JSONEncoder().encode(stored), to: directory.appending(Self.fileName),
            isDurable: true)
    }

    /// The machine that a session belongs to, if it boots from this image.
    init?(session: String, directory: FilePath, image: String) {
        guard
            let data = SmallFile.read(directory.appending(Self.fileName)),
            let stored = try? JSONDecoder().decode(Stored.self, from: data), stored.image == image
        else { return nil }
        identity = stored.identity
        self.session = session
        address = stored.address
        hostname = stored.hostname
        stage = .mounted
    }
}
