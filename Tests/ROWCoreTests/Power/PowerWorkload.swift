import Foundation
import GRDB
import NFSProtocol
import SystemPackage

@testable import ROWCore

/// Random operations on a session whose storage is written down; see ``PowerRecording``.
final class PowerWorkload: OperationPerformer {
    struct Difference: Error { let text: String }

    let engine: Engine
    private let recorder: StorageRecorder
    private let root: String
    private(set) var model: Model
    private var generator: OperationGenerator
    private var recording: PowerRecording
    private(set) var ids: [Int: NodeID] = [:]
    private var replyCount = 0
    private var start: UInt64 = 0
    /// The batch that gathered when last looked at.
    private var batch: UInt64 = 0

    static let client: [UInt8] = [127, 0, 0, 1]
    /// Often taken over into the database, so that this is cut off too.
    static let logBytesMaximum: UInt64 = 200_000

    /// - Parameter count: operations.
    static func record(_ random: Randomness, count: Int) throws -> PowerRecording {
        let workload = try PowerWorkload(random)
        defer { workload.end() }
        do {
            try workload.run(count)
        } catch {
            throw Difference(text: "\(error); \(random.note)")
        }
        return workload.recording
    }

    private init(_ random: Randomness) throws {
        var random = random
        let tree = SessionModelTests.image(&random)
        root = PowerScratch.newPath()
        try FileManager.default.createDirectory(
            atPath: root, withIntermediateDirectories: true)
        recorder = StorageRecorder(below: root)
        generator = OperationGenerator(random)
        model = Model(tree)
        recording = PowerRecording(
            main: tree, note: random.note,
            states: [
                PowerRecording.State(
                    key: [], tree: tree, unrecorded: [:], writeCount: 0, lastReply: 0, nextID: 0,
                    nextCookie: 0, topLayer: 0)
            ])
        var options = Engine.Options()
        options.isDurable = true
        options.limit = 12
        options.logBytesMaximum = Self.logBytesMaximum
        engine = try Engine(PlainMain(tree), directory: root + "/state", options)
        engine.onCommit = { [unowned self] in acknowledge(recording.states.count - 1) }
        engine.onFetch = { [unowned self] in
            let rows = try PowerScratch.importedRows(engine)
            recording.imported.append((recorder.position, rows))
        }
        try noteOpened()
    }

    private func end() {
        recorder.stop()
        recording.events = recorder.events
        try? FileManager.default.removeItem(atPath: root)
    }

    private func run(_ count: Int) throws {
        for index in 1...count {
            if index % 60 == 0 { try restart() }
            try workOnSnapshots(index)
            try operate()
        }
        try restart()
        recording.events = recorder.events
    }

    // MARK: Operations

    func checkAccess(_ object: Int, _ who: Credential) {}

    func found(_ object: Int, _ number: NodeID) { learn(object, number, isTold: true) }

    private func learn(_ id: Int, _ number: NodeID, isTold: Bool) {
        guard ids[id] == nil else { return }
        ids[id] = number
        recording.exposed[id] = PowerRecording.Exposure(
            id: number, handle: engine.session.handle(of: number).array,
            position: isTold ? recorder.position : nil)
    }

    private func operate() throws {
        let operation = generator.next(model.tree)
        let who = generator.who()
        recording.operationCount += 1
        // Whatever must be asked or waited for is so now: from the operation on until it is noted,
        // nothing may be committed.
        var trial = model
        _ = try? trial.apply(operation, who)
        for id in trial.edited.sorted() where model.tree.objects[id] != nil { _ = try resolve(id) }
        if case .write(let object, let offset, let bytes, _) = operation {
            // First, since a part of it may come to the disk at any time from now on.
            let write = Model.UnstableWrite(offset: offset, bytes: bytes)
            recording.writes.append(
                PowerRecording.Write(
                    position: recorder.position, object: object, write: write))
        }
        let answer: (id: NodeID?, bytes: [UInt8]?)
        do {
            answer = try perform(operation, who)
        } catch is Refusal {
            recording.refusedCount += 1
            if case .write = operation { recording.writes.removeLast() }
            return
        }
        noteSeal()
        if let id = try model.apply(operation, who), let found = answer.id {
            learn(id, found, isTold: false)
        }
        for id in model.edited where model.tree.objects[id] != nil {
            model.adoptTimes(id, try engine.session.attributes(of: ids[id] ?? .root))
        }
        if isChange(operation) { storeReply() }
        noteState()
        if generator.chance(3) {
            if generator.chance(2) { beginCommit() }
        } else {
            try engine.commit()
        }
    }

    private func isChange(_ operation: Operation) -> Bool {
        switch operation {
        case .write(_, _, _, .unstable), .lookup, .read, .readlink, .access: false
        default: true
        }
    }

    /// Every transaction has one, by which it is known again.
    private func storeReply() {
        replyCount += 1
        engine.session.store(
            StoredReply(
                client: Self.client, xid: UInt32(replyCount), procedure: 8, checksum: 9,
                body: Self.body(UInt32(replyCount))))
    }

    /// As a reply begins that the server sends: its xid, and that it is one.
    static func body(_ xid: UInt32) -> [UInt8] {
        [xid, 1, 0, 0, 0, 0].flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
    }

    // MARK: What is promised

    /// What gathered up to here has been sealed, if it has.
    private func noteSeal() {
        guard engine.session.batch.number != batch else { return }
        batch = engine.session.batch.number
        model.acknowledge()
    }

    /// What the batch that gathers now will leave.
    /// - Parameter newLayers: that it puts on top.
    private func noteState(newLayers: Int64 = 0) {
        guard !engine.session.batch.isEmpty else { return }
        var later = model
        later.acknowledge()
        let unrecorded = later.crash()
        let state = PowerRecording.State(
            key: [start, batch], tree: later.tree, unrecorded: unrecorded,
            writeCount: recording.writes.count, lastReply: replyCount,
            nextID: engine.session.nextID, nextCookie: engine.session.nextCookie,
            topLayer: engine.session.topLayer + newLayers)
        if recording.states.last?.key == state.key { recording.states.removeLast() }
        recording.states.append(state)
    }

    private func acknowledge(_ state: Int) {
        let position = recorder.position
        recording.acknowledged.append((position, state))
        let tree = recording.states[state].tree
        for (id, exposure) in recording.exposed
        where exposure.position == nil && tree.objects[id] != nil {
            recording.exposed[id]?.position = position
        }
    }

    private func beginCommit() {
        let state = recording.states.count - 1
        engine.session.commit { [unowned self] status in
            if status == nil { acknowledge(state) }
        }
    }

    private func noteOpened() throws {
        start += 1
        batch = engine.session.batch.number
        recording.opened.append((recorder.position, PowerScratch.identity(engine)))
        recording.imported.append((recorder.position, try PowerScratch.importedRows(engine)))
    }

    private func restart() throws {
        try gatherAll()
        try engine.restart()
        try noteOpened()
    }

    /// What comes next commits all there is.
    private func gatherAll(newLayers: Int64 = 0) throws {
        try engine.commit()
        noteSeal()
        model.acknowledgeAll()
        storeReply()
        noteState(newLayers: newLayers)
    }

    // MARK: Snapshots

    private func workOnSnapshots(_ index: Int) throws {
        switch index {
        case 70, 170, 250:
            try copy("session/snapshots/at\(index)") { try engine.takeSnapshot("at\(index)") }
        case 110: try copy("clone") { try engine.clone(to: "clone") }
        case 140: try rollBack(to: 0)
        case 200: try cloneSnapshot()
        case 220: try removeSnapshot()
        case 280: try rollBack(to: recording.copies.count - 1)
        default: break
        }
    }

    /// Makes a copy of the session as it is now.
    private func copy(_ path: String, _ make: () throws -> Void) throws {
        try gatherAll(newLayers: 1)
        try make()
        noteSeal()
        acknowledge(recording.states.count - 1)
        noteCopy(path, recording.states.count - 1)
    }

    private func noteCopy(_ path: String, _ state: Int) {
        recording.copies.append(
            PowerRecording.Copy(path: path, state: state, position: recorder.position))
    }

    private func cloneSnapshot() throws {
        guard let snapshot = recording.copies.last else { return }
        try engine.clone(to: "second", from: SimulatedDisk.name(snapshot.path))
        noteCopy("second", snapshot.state)
    }

    private func removeSnapshot() throws {
        let begin = recorder.position
        try StoredSession.removeSnapshot(
            SimulatedDisk.name(recording.copies[0].path), of: FilePath(engine.sessionDirectory))
        recording.copies[0].removed = begin...recorder.position
    }

    /// What was promised since is gone, as promised; counters and replies are not.
    private func rollBack(to index: Int) throws {
        try engine.commit()
        noteSeal()
        let copy = recording.copies[index]
        try engine.rollBack(to: SimulatedDisk.name(copy.path))
        noteSeal()
        model.rollBack(to: recording.states[copy.state].tree.objects)
        for id in model.tree.objects.keys.sorted() {
            model.adoptTimes(id, try engine.attributes(try resolve(id)))
        }
        recording.states.append(
            PowerRecording.State(
                key: [start, batch, .max], tree: model.tree, unrecorded: [:],
                writeCount: recording.writes.count, lastReply: replyCount,
                nextID: engine.session.nextID, nextCookie: engine.session.nextCookie,
                topLayer: engine.session.topLayer))
        acknowledge(recording.states.count - 1)
    }
}

/// Where states of disks are put, in memory where there is room for it.
enum PowerScratch {
    static func newPath() -> String {
        let isThere = FileManager.default.isWritableFile(atPath: "/dev/shm")
        let place =
            isThere
            ? "/dev/shm" : FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
        return place + "/rowcore." + UUID().uuidString
    }

    static func identity(_ engine: Engine) -> PowerRecording.Identity {
        PowerRecording.Identity(
            fsid: engine.session.fsid, rootHandle: engine.session.handle(of: .root).array)
    }

    /// How many rows there are of each kind that the image's database only gains.
    static func importedRows(_ engine: Engine) throws -> [Int] {
        try engine.image.writer.readNow { db in
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT count(*), sum(complete), count(target), (SELECT count(*) FROM dentry)
                    FROM node
                    """)
            return (0..<4).map { row?[$0] ?? 0 }
        }
    }
}
