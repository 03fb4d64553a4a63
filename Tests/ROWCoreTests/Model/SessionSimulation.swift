import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// A session and the model of it, kept in step; the first difference ends it.
final class SessionSimulation: OperationPerformer {
    struct Difference: Error { let text: String }

    let engine: Engine
    var model: Model
    var generator: OperationGenerator
    /// The session's numbers of the model's objects, and every number ever seen.
    var ids: [Int: NodeID] = [:]
    private(set) var everSeen: [NodeID: Int] = [:]
    var handles: [Int: [UInt8]] = [:]
    var ctimes: [Int: NFS3.Time] = [:]
    /// Objects that are gone.
    var dead: [NodeID] = []
    var scans: [DirectoryScan] = []
    var isCommitBegun = false
    var snapshots: [KeptState] = []
    var snapshotsMade = 0
    /// Operations between two commits, about.
    private let patience: Int
    private var trace: [String] = []
    /// Operations done.
    private(set) var count = 0

    init(_ tree: PlainTree, _ random: Randomness, _ options: Engine.Options) throws {
        engine = try Engine(PlainMain(tree), options)
        model = Model(tree)
        generator = OperationGenerator(random)
        patience = generator.pick([3, 15])
        engine.onCommit = { [unowned self] in model.acknowledge() }
    }

    /// Runs `count` operations and compares everything at the end.
    func run(_ count: Int) {
        do {
            for _ in 0..<count { try step() }
            try settle()
            try compareAll()
        } catch {
            let last = trace.suffix(30).joined(separator: "\n  ")
            let events = engine.events.suffix(3)
            Issue.record(
                "\(error) after \(self.count) operations; \(generator.random.note)\n  \(last)\n\(events)"
            )
        }
    }

    private func step() throws {
        switch generator.random.below(1000) {
        case 0: try restart()
        case 1..<3: try crash()
        case 3..<5: try settle()
        case 5..<7: try takeSnapshot()
        case 7..<9: try rollBack()
        case 9: try clone()
        case 10..<60: try list()
        case 60..<70: try touchTheDead()
        default: try operate()
        }
        count += 1
    }

    func note(_ text: String) {
        trace.append(text)
        if trace.count > 200 { trace.removeFirst(100) }
    }

    func check(_ isTrue: Bool, _ text: @autoclosure () -> String) throws {
        if !isTrue { throw Difference(text: text()) }
    }

    // MARK: Operations

    private func operate() throws {
        let operation = generator.next(model.tree)
        let who = generator.who()
        note("\(operation) by \(who.uid)")
        var real: Result<(id: NodeID?, bytes: [UInt8]?), Refusal>
        do { real = .success(try perform(operation, who)) } catch let refusal as Refusal {
            real = .failure(refusal)
        }
        let known = Set(model.tree.objects.keys)
        do {
            let id = try model.apply(operation, who)
            guard case .success(let answer) = real else {
                throw Difference(text: "\(real) instead of success")
            }
            if let id, let found = answer.id { try learn(id, found) }
            try checkBytes(operation, answer.bytes)
        } catch let expected as Refusal {
            guard case .failure(expected) = real else {
                throw Difference(text: "\(real) instead of \(expected.status)")
            }
        }
        bury(known)
        try checkEdited(operation)
        if generator.chance(patience) {
            try settle()
        } else if generator.chance(patience) {
            beginCommit()
        }
    }

    private func checkBytes(_ operation: Operation, _ bytes: [UInt8]?) throws {
        guard let bytes else { return }
        switch operation {
        case .read(let id, let offset, let count):
            let data = model.tree[id].data
            let range = (offset..<(offset + count)).clamped(to: 0..<data.count)
            try check(areEqual(bytes[...], data[range]), "other bytes than were written")
        case .readlink(let id):
            try check(bytes == model.tree[id].target, "another target")
        default: break
        }
    }

    /// Objects that the operation freed: their handles must be stale from now on.
    private func bury(_ known: Set<Int>) {
        for id in known.sorted() where model.tree.objects[id] == nil {
            if let number = ids.removeValue(forKey: id) { dead.append(number) }
            handles[id] = nil
        }
        if dead.count > 100 { dead.removeFirst(50) }
    }

    private func touchTheDead() throws {
        guard !dead.isEmpty else { return }
        let id = generator.pick(dead)
        let session = engine.session
        let handle = session.handle(of: id)
        let status = engine.status { _ throws(Interrupt) in
            try session.attributes(of: try session.node(of: handle))
        }
        try check(status == .stale, "\(id) is gone, and answers \(String(describing: status))")
    }

    // MARK: Comparing

    func found(_ object: Int, _ number: NodeID) throws { try learn(object, number) }

    /// This number belongs to this object, now and for ever.
    private func learn(_ id: Int, _ number: NodeID) throws {
        try check(ids[id] == nil || ids[id] == number, "object \(id) became \(number)")
        try check(everSeen[number] == nil || everSeen[number] == id, "\(number) was used again")
        ids[id] = number
        everSeen[number] = id
        if handles[id] == nil { handles[id] = engine.session.handle(of: number).array }
    }

    func compare(_ id: Int, _ real: NFS3.Attributes) throws {
        let expected = model.tree[id].attributes
        try check(
            real.type == expected.type && real.mode == expected.mode
                && real.nlink == expected.nlink && real.uid == expected.uid
                && real.gid == expected.gid && real.size == expected.size
                && real.fileid == ids[id]?.rawValue ?? NodeID.root.rawValue,
            "object \(id) is \(real) and should be \(expected)")
    }

    private func checkEdited(_ operation: Operation) throws {
        for id in model.edited.sorted() where model.tree.objects[id] != nil {
            let real = try engine.attributes(try resolve(id))
            try compare(id, real)
            if let last = ctimes[id] {
                try check(real.ctime > last, "ctime of \(id) is \(real.ctime) after \(last)")
            }
            ctimes[id] = real.ctime
            if case .setattr(id, let new) = operation, case .clientTime(let time) = new.mtime {
                try check(real.mtime == time, "mtime \(real.mtime) instead of \(time)")
            }
        }
        for scan in scans { scan.changed(model.edited, model.tree) }
    }

    func compareAll() throws {
        var queue = [PlainTree.root]
        while let directory = queue.popLast() {
            let id = try resolve(directory)
            let children = model.tree[directory].children
            let names = try engine.names(id, pageCount: 1 + generator.random.below(9))
            try check(names == children.keys.sorted(), "\(directory) lists \(names)")
            try compare(directory, try engine.attributes(id))
            for (name, child) in children.sorted(by: { $0.key < $1.key }) {
                try learn(child, try engine.lookup(id, Array(name.utf8)))
                if model.tree[child].isDirectory {
                    queue.append(child)
                } else {
                    try compareObject(child)
                }
            }
        }
    }

    private func compareObject(_ id: Int) throws {
        let number = try resolve(id)
        let object = model.tree[id]
        try compare(id, try engine.attributes(number))
        if let handle = handles[id].flatMap({ NFS3.FileHandle($0) }) {
            let found = try engine.run { session throws(Interrupt) in
                try session.node(of: handle)
            }
            try check(found == number, "the handle of \(id) names \(found)")
        }
        switch object.attributes.type {
        case .regular:
            let (bytes, eof) = try engine.read(number)
            try check(
                areEqual(bytes[...], object.data[...]) && eof,
                "the data of \(id) is not what was written")
        case .symbolicLink:
            let target = try engine.run { session throws(Interrupt) in
                try session.target(of: number)
            }
            try check(target == object.target, "\(id) points elsewhere")
        default: break
        }
    }

    // MARK: Listings

    /// One page of a listing that goes on while the directory is changed.
    private func list() throws {
        let scan: DirectoryScan
        if scans.isEmpty || scans.count < 3 && generator.chance(4) {
            let directories = model.tree.objects.keys.sorted().filter {
                model.tree[$0].isDirectory
            }
            // Its first page follows at once, and with it the commit of all names that stand there: a
            // crash before that could take back some.
            scan = DirectoryScan(generator.pick(directories), model.tree)
            scans.append(scan)
        } else {
            scan = generator.pick(scans)
        }
        guard model.tree.objects[scan.directory] != nil else {
            scans.removeAll { $0 === scan }
            return
        }
        note("list \(scan.directory) after \(scan.cookie)")
        let id = try resolve(scan.directory)
        let (entries, eof) = try engine.page(
            id, after: scan.cookie, count: 1 + generator.random.below(6))
        if let problem = scan.add(entries) { throw Difference(text: problem) }
        guard eof else { return }
        scans.removeAll { $0 === scan }
        if let problem = scan.finish() { throw Difference(text: problem) }
    }

    // MARK: Commits, restarts and crashes

    /// Later operations gather behind this commit. It is waited for before any crash, so that what it
    /// covers is safe already.
    private func beginCommit() {
        guard engine.session.inFlight == nil else { return }
        note("begin commit")
        engine.beginCommit()
        isCommitBegun = true
        model.acknowledge()
    }

    func settle() throws {
        note("settle")
        try engine.commit()
        isCommitBegun = false
    }

    private func restart() throws {
        note("restart")
        engine.onCommit = { [unowned self] in model.acknowledgeAll() }
        try engine.restart()
        engine.onCommit = { [unowned self] in model.acknowledge() }
        isCommitBegun = false
        try compareAll()
    }

    private func crash() throws {
        if isCommitBegun { try settle() }
        note("crash")
        // Nobody was told of these, even if they are gone again, so their numbers may be used.
        let untold = model.untold
        let unstable = model.crash()
        for id in untold { ids[id] = nil }
        everSeen = everSeen.filter { !untold.contains($0.value) }
        // And what was removed may be back.
        dead.removeAll { number in everSeen[number].map { model.tree.objects[$0] != nil } ?? true }
        engine.crash()
        try checkStored()
        try engine.open()
        for scan in scans { scan.crashed() }
        try scribble()
        for (id, writes) in unstable { try adopt(id, writes) }
        try compareAll()
    }

    /// A crash is no damage, and a repair after it changes nothing that clients can see.
    func checkStored() throws {
        let report = try SessionCheck.run(
            session: FilePath(engine.sessionDirectory), images: [FilePath(engine.imageDirectory)],
            isRepairing: generator.chance(2))
        let damage = report.findings.filter { $0.severity == .damage }
        try check(damage.isEmpty, "a crash is taken for damage: \(damage)")
    }

    /// A file with unstable writes is as it was, but for bytes that were written.
    private func adopt(_ id: Int, _ writes: [Model.UnstableWrite]) throws {
        let before = model.tree[id].data
        let after = try engine.read(try resolve(id)).bytes
        try check(after.count == before.count, "\(id) has another size after a crash")
        if areEqual(after[...], before[...]) { return }
        for place in after.indices where after[place] != before[place] {
            let isWritten = writes.contains { write in
                let index = write.bytes.startIndex + place - write.offset
                return write.bytes.indices.contains(index) && write.bytes[index] == after[place]
            }
            try check(isWritten, "byte \(place) of \(id) is neither old nor new after a crash")
        }
        model.adopt(id, after)
    }

    /// Bytes of the shadow that nothing has recorded may be anything after a crash.
    private func scribble() throws {
        for id in model.tree.objects.keys.sorted() where ids[id] != nil {
            let number = try resolve(id)
            guard FileManager.default.fileExists(atPath: engine.shadowPath(number)) else {
                continue
            }
            let node = try engine.run { session throws(Interrupt) in try session.node(number) }
            let file = try SparseFile(path: .init(engine.shadowPath(number)), create: false)
            let end = node.attributes.size + 2 * engine.options.blockSize
            var runs = [LayerMap.Run(source: .below, range: 0..<end)]
            if let content = node.content {
                runs = []
                content.top.map.forEachRun(in: 0..<end) { runs.append($0) }
            }
            for run in runs where run.source != .here {
                let garbage = [UInt8](repeating: 0xee, count: run.range.count)
                try garbage.withUnsafeBytes { try file.write($0, at: run.range.lowerBound) }
            }
        }
    }
}

/// As `==`, which takes its time in a debug build.
func areEqual(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
    one.count == other.count
        && one.withUnsafeBytes { one in
            other.withUnsafeBytes { other in
                one.isEmpty || memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0
            }
        }
}
