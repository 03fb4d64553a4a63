import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import ROWTestKit
import Synchronization
import Testing
import XDR

@testable import ROWProxy

/// Sessions of machines that boot here. A machine is an address of this one's loopback network, with a
/// network card of its own as far as the proxy is told.
@Suite struct MachineTests {
    private static let cards = [
        "127.0.0.11": "52:54:00:00:00:01", "127.0.0.12": "52:54:00:00:00:02",
    ]

    /// - Parameter cards: whose network card an address belongs to.
    private func served(
        cards: [String: String] = cards,
        _ configure: (inout Proxy.MachineSettings) -> Void = { _ in }
    ) async throws -> Served {
        var machines = Proxy.MachineSettings(name: "image")
        machines.card = { cards[$0.description] }
        configure(&machines)
        return try await Served.directory {
            $0.allow = [AddressRange("127.0.0.0/8")].compactMap(\.self)
            $0.rootAccess = .keep
            $0.machines = machines
        }
    }

    /// A client with an address.
    private struct Client {
        let raw: RawConnection

        init(_ served: Served, _ address: String, isPrivileged: Bool = false) async throws {
            raw = try await served.raw(from: address, isPrivileged: isPrivileged)
        }

        func mount(_ path: String) async throws -> Mount.Mnt.Result {
            raw.send(
                Message.record(
                    Message.call(
                        xid: 1, program: Mount.program, version: Mount.version,
                        procedure: Mount.Procedure.mnt.rawValue,
                        Mount.DirectoryPath(path).encoded())))
            return try #require(try await raw.next()).results()
        }

        /// The root of its session.
        func root(_ path: String = "/boot/image") async throws -> NFS3.FileHandle {
            guard case .ok(let success) = try await mount(path) else {
                throw UnexpectedStatus(status: .acces)
            }
            return success.handle
        }

        func status(_ handle: NFS3.FileHandle) async throws -> NFS3.Status {
            raw.send(Message.nfs(xid: 2, .getattr, NFS3.Getattr.Arguments(object: handle)))
            return try #require(try await raw.next()).results(NFS3.Getattr.Result.self).status
        }

        func lookup(_ name: String, in root: NFS3.FileHandle) async throws -> NFS3.Status {
            raw.send(
                Message.nfs(
                    xid: 3, .lookup,
                    NFS3.Lookup.Arguments(
                        what: NFS3.DirectoryOperation(directory: root, name: NFS3.Filename(name)))))
            return try #require(try await raw.next()).results(NFS3.Lookup.Result.self).status
        }

        func create(
            _ name: String, in root: NFS3.FileHandle, xid: UInt32 = 4
        ) async throws -> NFS3.Status {
            raw.send(
                Message.nfs(
                    xid: xid, .create,
                    NFS3.Create.Arguments(
                        location: NFS3.DirectoryOperation(
                            directory: root, name: NFS3.Filename(name)),
                        how: .unchecked(NFS3.SetAttributes(mode: 0o644)))))
            return try #require(try await raw.next()).results(NFS3.Create.Result.self).status
        }
    }

    @Test func eachMachineHasItsOwnSessionAndFindsItAgain() async throws {
        var served = try await served()
        let first = try await Client(served, "127.0.0.11")
        let second = try await Client(served, "127.0.0.12")
        let (root, other) = (try await first.root(), try await second.root())
        #expect(root != other)
        #expect(try await first.create("mine", in: root) == .ok)
        #expect(try await first.lookup("mine", in: root) == .ok)
        #expect(try await second.lookup("mine", in: other) == .noent)
        // Another connection, and a directory below.
        let again = try await Client(served, "127.0.0.11")
        #expect(try await again.root() == root)
        #expect(try await again.root("/boot/image/directory") != root)
        #expect(
            served.configuration.state.sessionNames() == [
                "image-525400000001", "image-525400000002", "s",
            ])
        // The process is another, and nobody mounts again.
        served = try await served.restarted()
        let later = try await Client(served, "127.0.0.11")
        #expect(try await later.lookup("mine", in: root) == .ok)
        try await served.stop()
    }

    @Test func aHandleOfAnotherMachineIsUseless() async throws {
        let served = try await served()
        let owner = try await Client(served, "127.0.0.11")
        let root = try await owner.root()
        #expect(try await owner.create("mine", in: root) == .ok)
        for address in ["127.0.0.12", "127.0.0.13"] {
            let thief = try await Client(served, address)
            let own = try await thief.root()
            #expect(try await thief.status(root) == .stale)
            #expect(try await thief.lookup("mine", in: root) == .stale)
            // With the transaction id of the owner's, too.
            #expect(try await thief.create("mine", in: root) == .stale)
            #expect(try await thief.status(own) == .ok)
            #expect(try await thief.mount("/image-525400000001").status == .noent)
            thief.raw.send(
                Message.nfs(
                    xid: 9, .rename,
                    NFS3.Rename.Arguments(
                        from: NFS3.DirectoryOperation(directory: own, name: NFS3.Filename("hello")),
                        to: NFS3.DirectoryOperation(directory: root, name: NFS3.Filename("x")))))
            let renamed = try #require(try await thief.raw.next()).results(NFS3.Rename.Result.self)
            #expect(renamed.status == .stale)
        }
        #expect(try await owner.lookup("mine", in: root) == .ok)
        #expect(try await owner.lookup("hello", in: root) == .ok)
        // This machine's administrator looks into all of them.
        let administrator = try await served.mount("image-525400000001")
        #expect(try await administrator.getattr(root).status == .ok)
        await administrator.close()
        try await served.stop()
    }

    @Test func aMachineIsKnownByItsCardWhateverItsAddress() async throws {
        let cards = ["127.0.0.11": "52:54:00:00:00:01", "127.0.0.21": "52:54:00:00:00:01"]
        let served = try await served(cards: cards)
        let root = try await Client(served, "127.0.0.11").root()
        let moved = try await Client(served, "127.0.0.21")
        #expect(try await moved.status(root) == .ok)
        #expect(try await moved.root() == root)
        // One whose card is not known is its address.
        let unknown = try await Client(served, "127.0.0.14")
        #expect(try await unknown.status(root) == .stale)
        let own = try await unknown.root()
        #expect(own != root)
        #expect(served.configuration.state.sessionNames().contains("image-127.0.0.14"))
        try await served.stop()
    }

    @Test func whoGetsAnAddressThatWasAnothersIsNotTakenForIt() async throws {
        let cards = CardTable(["127.0.0.11": "52:54:00:00:00:01"])
        let served = try await served { $0.card = { cards[$0.description] } }
        let root = try await Client(served, "127.0.0.11").root()
        cards["127.0.0.11"] = "52:54:00:00:00:09"
        let stranger = try await Client(served, "127.0.0.11")
        #expect(try await stranger.status(root) == .stale)
        let strangers = try await stranger.root()
        #expect(strangers != root)
        // What the kernel has forgotten is taken for what it was last.
        cards["127.0.0.11"] = nil
        let forgotten = try await Client(served, "127.0.0.11")
        #expect(try await forgotten.root() == strangers)
        #expect(try await forgotten.status(root) == .stale)
        try await served.stop()
    }

    @Test func anEphemeralMachineFindsTheImageAsItIsWhenItBoots() async throws {
        let served = try await served { $0.isEphemeral = true }
        served.proxy.machineLoads(at: "127.0.0.11", isFirst: true)
        let firmware = try await Client(served, "127.0.0.11", isPrivileged: true)
        let root = try await firmware.root()
        let kernel = try await Client(served, "127.0.0.11", isPrivileged: true)
        #expect(try await kernel.root() == root)
        #expect(try await kernel.create("mine", in: root) == .ok)
        // Not the root of one that runs, whatever its programs ask for: its kernel's connection is older.
        served.proxy.machineLoads(at: "127.0.0.11", isFirst: true)
        let program = try await Client(served, "127.0.0.11")
        #expect(try await program.root() == root)
        #expect(try await kernel.lookup("mine", in: root) == .ok)
        try await kernel.raw.close()
        try await firmware.raw.close()
        try await program.raw.close()
        // It boots: what was there is gone, and its handles with it.
        served.proxy.machineLoads(at: "127.0.0.11", isFirst: true)
        let rebooted = try await Client(served, "127.0.0.11", isPrivileged: true)
        let (one, two) = (try await rebooted.root(), try await rebooted.root())
        #expect(one != root && one == two)
        #expect(try await rebooted.lookup("mine", in: one) == .noent)
        #expect(try await rebooted.lookup("hello", in: one) == .ok)
        #expect(try await rebooted.status(root) == .stale)
        #expect(
            await served.proxy.kernelSession(ofMachineAt: "127.0.0.11")
                == served.configuration.session)
        try await served.stop()
    }

    @Test func onlySoManyMachinesAndConnectionsComeIn() async throws {
        let served = try await served {
            $0.sessionsMaximum = 1
            $0.connectionsMaximum = 2
        }
        let first = try await Client(served, "127.0.0.11")
        let root = try await first.root()
        let second = try await Client(served, "127.0.0.12")
        #expect(try await second.mount("/boot/image").status == .serverFault)
        #expect(try await first.status(root) == .ok)
        let another = try await Client(served, "127.0.0.11")
        #expect(try await another.status(root) == .ok)
        let third = try await Client(served, "127.0.0.11")
        third.raw.send(Message.record(Message.call(xid: 1, procedure: 0)))
        #expect(try await third.raw.next() == nil)
        let events = try await served.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("52:54:00:00:00:02 got no session: 1 machines") })
        #expect(events.contains { $0.contains("127.0.0.11: it has 2 already") })
        try await served.stop()
    }

    @Test func machinesThatMountAtOnceGetOneSessionEach() async throws {
        let served = try await served { $0.connectionsMaximum = 64 }
        let roots = try await withThrowingTaskGroup(of: (String, NFS3.FileHandle).self) { group in
            for index in 0..<40 {
                let address = index.isMultiple(of: 2) ? "127.0.0.11" : "127.0.0.12"
                group.addTask { (address, try await Client(served, address).root()) }
            }
            return try await group.reduce(into: [String: Set<NFS3.FileHandle>]()) {
                $0[$1.0, default: []].insert($1.1)
            }
        }
        #expect(roots.values.allSatisfy { $0.count == 1 } && roots.count == 2)
        try await served.stop()
    }

    @Test func operatorsSeeWhichMachinesThereAreAndHowFarTheyCame() async throws {
        let served = try await served()
        let state = served.configuration.state
        served.proxy.machineLeased(
            card: "52:54:00:00:00:01", address: "127.0.0.11", hostname: "desk")
        served.proxy.machineLeased(card: "nonsense", address: "127.0.0.11", hostname: nil)
        served.proxy.machineLoads(at: "127.0.0.12", isFirst: true)
        #expect(state.machinesWithoutSession().map(\.stage) == ["dhcp", "loading"])
        let client = try await Client(served, "127.0.0.11")
        let root = try await client.root()
        #expect(state.machinesWithoutSession().map(\.mac) == ["52:54:00:00:00:02"])
        var machine = try #require(try SessionStatus.read("image-525400000001", in: state).machine)
        #expect(machine.stage == "mounted" && machine.hostname == "desk")
        #expect(machine.mac == "52:54:00:00:00:01" && machine.address == "127.0.0.11")
        #expect(try await client.create("x", in: root) == .ok)
        machine = try #require(try SessionStatus.read("image-525400000001", in: state).machine)
        #expect(machine.stage == "running")
        #expect(try SessionStatus.read("s", in: state).machine == nil)
        // One that is at work keeps its session.
        #expect(throws: StateError.self) { try state.letGo("image-525400000001") }
        try await served.stop()
    }

    @Test func theSessionOfAMachineThatIsSilentCanBeRemoved() async throws {
        let served = try await served { $0.silence = 0 }
        let state = served.configuration.state
        let client = try await Client(served, "127.0.0.11")
        let root = try await client.root()
        #expect(try await client.create("mine", in: root) == .ok)
        try state.letGo("s")
        #expect(try await served.client.getattr(served.root).status == .ok)
        try state.letGo("image-525400000001")
        try StoredSession.remove(state.session("image-525400000001"))
        let again = try await client.root()
        #expect(again != root)
        #expect(try await client.lookup("mine", in: again) == .noent)
        #expect(try await client.status(root) == .stale)
        try await served.stop()
    }

    @Test func whatIsNoNameOfAnImageIsRefused() async throws {
        for name in ["", "a/b", "..", "-x", String(repeating: "x", count: 25)] {
            await #expect(throws: ConfigurationError.self) {
                _ = try await served { $0.name = name }
            }
        }
    }

    @Test func theKernelsTableTellsWhoseCardItIs() throws {
        let table = """
            IP address       HW type     Flags       HW address            Mask     Device
            10.77.2.50       0x1         0x2         52:54:00:AB:cd:ef     *        br0
            10.77.2.51       0x1         0x0         00:00:00:00:00:00     *        br0
            10.77.2.52       0x20        0x2         52:54:00:ab:cd:01     *        ib0
            10.77.2.53       0x1         0x2
            10.77.2.54       0x1         0x6         nonsense              *        br0
            """
        let address = { IPAddress($0).flatMap { Neighbours.card(of: $0, in: table) } }
        #expect(address("10.77.2.50") == "52:54:00:ab:cd:ef")
        for other in ["10.77.2.5", "10.77.2.51", "10.77.2.52", "10.77.2.53", "10.77.2.54", "::1"] {
            #expect(address(other) == nil)
        }
    }
}

/// Which network card has an address, as it changes.
private final class CardTable: Sendable {
    private let cards: Mutex<[String: String]>

    init(_ cards: [String: String]) { self.cards = Mutex(cards) }

    subscript(address: String) -> String? {
        get { cards.withLock { $0[address] } }
        set { cards.withLock { $0[address] = newValue } }
    }
}
