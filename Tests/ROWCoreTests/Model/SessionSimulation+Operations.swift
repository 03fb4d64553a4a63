import NFSProtocol

@testable import ROWCore

/// Carries operations of a model out by a session.
protocol OperationPerformer: AnyObject {
    var engine: Engine { get }
    var model: Model { get }
    /// The session's numbers of the model's objects.
    var ids: [Int: NodeID] { get }
    /// A LOOKUP told this number.
    func found(_ object: Int, _ number: NodeID) throws
    /// ACCESS, and whether the answer is right.
    func checkAccess(_ object: Int, _ who: Credential) throws
}

/// An object of the model without a name.
struct Nameless: Error { let object: Int }

extension OperationPerformer {
    /// The session's number of an object, found by its path.
    func resolve(_ object: Int) throws -> NodeID {
        if let known = ids[object] { return known }
        guard object != PlainTree.root else { return .root }
        for directory in model.tree.objects.keys.sorted() {
            let children = model.tree[directory].children
            guard let name = children.keys.sorted().first(where: { children[$0] == object }) else {
                continue
            }
            let number = try engine.lookup(try resolve(directory), Array(name.utf8))
            try found(object, number)
            return number
        }
        throw Nameless(object: object)
    }

    /// - Returns: the object and the bytes that the reply is about.
    /// - Throws: ``Refusal``.
    func perform(
        _ operation: Operation, _ who: Credential
    ) throws -> (id: NodeID?, bytes: [UInt8]?) {
        switch operation {
        case .lookup(let directory, let name):
            return (try engine.lookup(try resolve(directory), Array(name.utf8), who), nil)
        case .create(let directory, let name, let mode):
            let id = try on(directory) { session, directory throws(Interrupt) in
                try session.create(directory, Array(name.utf8), mode, who).id
            }
            return (id, nil)
        case .mkdir(let directory, let name, let mode):
            let id = try on(directory) { session, directory throws(Interrupt) in
                try session.makeDirectory(
                    directory, Array(name.utf8), NFS3.SetAttributes(mode: mode), who
                ).id
            }
            return (id, nil)
        case .symlink(let directory, let name, let target):
            let id = try on(directory) { session, directory throws(Interrupt) in
                try session.makeSymbolicLink(
                    directory, Array(name.utf8), target: Array(target.utf8),
                    NFS3.SetAttributes(), who
                ).id
            }
            return (id, nil)
        case .mknod(let directory, let name, let type, let mode):
            let id = try on(directory) { session, directory throws(Interrupt) in
                try session.makeSpecial(
                    directory, Array(name.utf8), type, device: NFS3.Device(major: 0, minor: 0),
                    NFS3.SetAttributes(mode: mode), who
                ).id
            }
            return (id, nil)
        case .read(let file, let offset, let count):
            return (nil, try engine.read(try resolve(file), UInt64(offset), count, who).bytes)
        case .readlink(let object):
            let target = try on(object) { session, id throws(Interrupt) in
                try session.target(of: id)
            }
            return (nil, target)
        case .access(let object):
            try checkAccess(object, who)
            return (nil, nil)
        default:
            try change(operation, who)
            return (nil, nil)
        }
    }

    /// Runs an operation on an object of the model.
    @discardableResult
    private func on<T>(
        _ object: Int, _ body: (SessionState, NodeID) throws(Interrupt) -> T
    ) throws -> T {
        let id = try resolve(object)
        return try engine.run { session throws(Interrupt) in try body(session, id) }
    }

    private func change(_ operation: Operation, _ who: Credential) throws {
        switch operation {
        case .link(let object, let directory, let name):
            let id = try resolve(object)
            try on(directory) { session, directory throws(Interrupt) in
                try session.link(id, directory, Array(name.utf8), who)
            }
        case .remove(let directory, let name):
            try on(directory) { session, directory throws(Interrupt) in
                try session.remove(directory, Array(name.utf8), who)
            }
        case .rmdir(let directory, let name):
            try on(directory) { session, directory throws(Interrupt) in
                try session.removeDirectory(directory, Array(name.utf8), who)
            }
        case .rename(let from, let old, let to, let new):
            let to = try resolve(to)
            try on(from) { session, from throws(Interrupt) in
                try session.rename(from: from, Array(old.utf8), to: to, Array(new.utf8), who)
            }
        case .setattr(let object, let new):
            try on(object) { session, id throws(Interrupt) in
                try session.setAttributes(id, new, guardTime: nil, who)
            }
        case .write(let file, let offset, let bytes, let stable):
            try engine.write(try resolve(file), UInt64(offset), Array(bytes), stable, who)
        case .commit(let file):
            try on(file) { session, id throws(Interrupt) in try session.commitFile(id) }
        case .lookup, .create, .mkdir, .symlink, .mknod, .read, .readlink, .access: break
        }
    }
}

extension SessionSimulation {
    func checkAccess(_ object: Int, _ who: Credential) throws {
        let id = try resolve(object)
        let (granted, attributes) = try engine.run { session throws(Interrupt) in
            try session.access(id, 0x3f, who)
        }
        let expected = PermissionRules.accessRights(0x3f, model.tree[object].attributes, who)
        try check(granted == expected, "access \(granted) instead of \(expected)")
        try compare(object, attributes)
    }
}
