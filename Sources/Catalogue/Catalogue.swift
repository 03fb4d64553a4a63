import Foundation
import Glibc
public import ROWCore
import SystemPackage

/// The catalogue of appliances: which versions there are, which servers hold them, and who uses them.
///
/// Three tables behind one interface (``CatalogueStore``): appliance → versions, (appliance, version) →
/// locations, (appliance, version) → leases. What is in them is signed; where they are makes no difference to
/// what is believed.
public final class Catalogue: Sendable {
    /// How a catalogue is opened; what is not given has a default.
    public struct Options: Sendable {
        /// The UDP port of this machine's node of a distributed catalogue; 0 for any.
        public var dhtPort = 0
        /// The path of rowctl-dht; nil for the one of `ROWFS_DHT`, beside this program, or in `PATH`.
        public var dhtProgram: String?
        /// How long a call may take, until what stands in its way is an error.
        public var timeout = Duration.seconds(20)

        public init() {}
    }

    /// What it was opened with.
    public let name: String
    let store: any CatalogueStore
    let memory: CatalogueMemory
    let directory: FilePath
    let timeout: Duration
    /// Unix seconds.
    let now: @Sendable () -> Int64

    init(
        name: String, store: any CatalogueStore, memory: CatalogueMemory, directory: FilePath,
        timeout: Duration,
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) {
        self.name = name
        self.store = store
        self.memory = memory
        self.directory = directory
        self.timeout = timeout
        self.now = now
    }

    /// Opens a catalogue. A distributed one is asked for nothing yet.
    /// - Parameter text: `dht:HOST:PORT[,HOST:PORT…]`, or the path of a SQLite file, which is made where there
    ///   is none. Nil for what `ROWFS_CATALOGUE` says, or else `catalogue.sqlite` of the state directory.
    /// - Parameter state: where this machine remembers what it has seen and published.
    /// - Throws: ``CatalogueError``: `invalid`, `state`.
    public static func open(
        _ text: String?, state: StateLayout, options: Options = Options()
    ) async throws(CatalogueError) -> Catalogue {
        let given = text ?? ProcessInfo.processInfo.environment["ROWFS_CATALOGUE"]
        let name = given ?? state.path.appending("catalogue.sqlite").string
        guard !name.isEmpty else {
            throw CatalogueError(
                .invalid, "the catalogue is empty text: give a file, or dht:HOST:PORT")
        }
        let directory = state.path.appending("catalogue")
        let memory = try CatalogueMemory(directory: directory)
        let store: any CatalogueStore
        if name.hasPrefix(DHTSettings.prefix) {
            store = try DHTStore(
                DHTSettings(parsing: name, port: options.dhtPort, program: options.dhtProgram))
        } else {
            store = try LocalStore(path: name)
        }
        return Catalogue(
            name: name, store: store, memory: memory, directory: directory,
            timeout: options.timeout)
    }

    /// Ends what it runs. Calls under way fail.
    public func close() async {
        await store.close()
        memory.close()
    }

    /// Where the publisher's key for a name is kept unless another file is given.
    public static func keyFile(_ name: String, state: StateLayout) -> String {
        state.path.appending("catalogue").appending("keys").appending("\(name).key").string
    }

    func read(_ key: CatalogueKey) async -> Reading {
        await store.get(key, now: now(), within: timeout)
    }
}
