import NFSProtocol

@testable import ROWCore

/// What a session must look like: a plain tree, who may do what to it, and what a crash may take back.
///
/// Who may do what comes from ``PermissionRules``, which has tests of its own against the kernel.
struct Model {
    private(set) var tree: PlainTree
    /// Objects that the last operation changed, or made, or freed.
    private(set) var edited: Set<Int> = []
    /// Unstable writes that nothing has recorded yet, oldest first.
    private(set) var unstable: [Int: [UnstableWrite]] = [:]
    /// What changed objects were like when last recorded; nil for those that did not exist.
    private var recorded: [Int: PlainTree.Object?] = [:]
    /// Objects that the next commit records.
    private var touched: Set<Int> = []

    struct UnstableWrite {
        let offset: Int
        let bytes: ArraySlice<UInt8>
    }

    init(_ tree: PlainTree) { self.tree = tree }

    // MARK: Commits and crashes

    /// All that was promised has been committed.
    mutating func acknowledge() {
        for id in touched { unstable[id] = nil }
        touched = []
        recorded = recorded.filter { unstable[$0.key] != nil }
    }

    /// Everything, promised or not, has been committed.
    mutating func acknowledgeAll() {
        touched.formUnion(unstable.keys)
        acknowledge()
    }

    /// What was not committed is gone.
    /// - Returns: unstable writes, of which any byte may be there all the same.
    mutating func crash() -> [Int: [UnstableWrite]] {
        for (id, object) in recorded { tree.objects[id] = object }
        defer {
            unstable = [:]
            touched = []
            recorded = [:]
        }
        return unstable.filter { tree.objects[$0.key] != nil }
    }

    /// The tree is as it was once; what was made since is gone for good.
    mutating func rollBack(to objects: [Int: PlainTree.Object]) {
        tree.objects = objects
        unstable = [:]
        touched = []
        recorded = [:]
        edited = []
    }

    /// A file that had unstable writes when the crash came is now like this.
    mutating func adopt(_ id: Int, _ data: [UInt8]) { tree[id].data = data }

    /// The session chose these times.
    mutating func adoptTimes(_ id: Int, _ times: NFS3.Attributes) {
        tree[id].attributes.atime = times.atime
        tree[id].attributes.mtime = times.mtime
        tree[id].attributes.ctime = times.ctime
    }

    // MARK: Changing objects

    private mutating func edit(
        _ id: Int, touching: Bool = true, _ change: (inout PlainTree.Object) -> Void
    ) {
        if recorded.index(forKey: id) == nil { recorded.updateValue(tree.objects[id], forKey: id) }
        if touching { touched.insert(id) }
        edited.insert(id)
        change(&tree[id])
    }

    private mutating func free(_ id: Int) {
        edit(id) { _ in }
        tree.objects[id] = nil
    }

    // MARK: Procedures

    /// Does what an operation must do.
    /// - Returns: the object that the reply is about.
    /// - Throws: ``Refusal``, and nothing has changed.
    mutating func apply(_ operation: Operation, _ who: Credential) throws -> Int? {
        edited = []
        switch operation {
        case .lookup(let directory, let name): return try lookup(directory, name, who)
        case .create(let directory, let name, let mode):
            return try create(directory, name, mode, who)
        case .mkdir(let directory, let name, let mode):
            return try make(directory, name, .directory, NFS3.SetAttributes(mode: mode), who)
        case .symlink(let directory, let name, let target):
            let id = try make(directory, name, .symbolicLink, NFS3.SetAttributes(), who)
            tree[id].target = Array(target.utf8)
            tree[id].attributes.size = UInt64(target.utf8.count)
            return id
        case .mknod(let directory, let name, let type, let mode):
            if type == .characterDevice, !who.isRoot { throw Refusal(.perm) }
            return try make(directory, name, type, NFS3.SetAttributes(mode: mode), who)
        case .link(let id, let directory, let name): return try link(id, directory, name, who)
        case .remove(let directory, let name):
            try remove(directory, name, isDirectory: false, who)
        case .rmdir(let directory, let name): try remove(directory, name, isDirectory: true, who)
        case .rename(let from, let old, let to, let new): try rename(from, old, to, new, who)
        case .setattr(let id, let new): try setAttributes(id, new, who)
        case .write(let id, let offset, let bytes, let stable):
            try write(id, offset, bytes, stable, who)
        case .commit(let id):
            try checkRegular(id)
            if unstable[id] != nil { touched.insert(id) }
        case .read(let id, _, _):
            try checkRegular(id)
            guard PermissionRules.allowsRead(tree[id].attributes, who) else {
                throw Refusal(.acces)
            }
        case .readlink(let id):
            guard tree[id].attributes.type == .symbolicLink else { throw Refusal(.inval) }
        case .access: break
        }
        return nil
    }

    private func search(_ directory: Int, _ who: Credential) throws {
        guard tree[directory].isDirectory else { throw Refusal(.notdir) }
        guard PermissionRules.allows(.execute, tree[directory].attributes, who) else {
            throw Refusal(.acces)
        }
    }

    private func checkWrite(_ directory: Int, _ who: Credential) throws {
        guard PermissionRules.allows([.write, .execute], tree[directory].attributes, who) else {
            throw Refusal(.acces)
        }
    }

    private func checkSticky(_ id: Int, _ directory: Int, _ who: Credential) throws {
        guard
            PermissionRules.mayDelete(
                tree[id].attributes, from: tree[directory].attributes, who)
        else { throw Refusal(.perm) }
    }

    private func checkRegular(_ id: Int) throws {
        guard tree[id].attributes.type == .regular else {
            throw Refusal(tree[id].isDirectory ? .isdir : .inval)
        }
    }

    private func lookup(_ directory: Int, _ name: String, _ who: Credential) throws -> Int {
        try search(directory, who)
        if name == "." { return directory }
        if name == ".." { return tree[directory].parent }
        guard let id = tree[directory].children[name] else { throw Refusal(.noent) }
        return id
    }

    private mutating func create(
        _ directory: Int, _ name: String, _ mode: NFS3.CreateMode, _ who: Credential
    ) throws -> Int {
        try search(directory, who)
        guard let id = tree[directory].children[name] else {
            switch mode {
            case .unchecked(let new), .guarded(let new):
                return try make(directory, name, .regular, new, who)
            case .exclusive(let verifier):
                let id = try make(directory, name, .regular, NFS3.SetAttributes(mode: 0), who)
                tree[id].verifier = verifier
                return id
            }
        }
        switch mode {
        case .guarded: throw Refusal(.exist)
        case .exclusive(let verifier):
            guard tree[id].verifier == verifier else { throw Refusal(.exist) }
        case .unchecked(let new):
            guard tree[id].attributes.type == .regular else {
                throw Refusal(tree[id].isDirectory ? .isdir : .exist)
            }
            guard let size = new.size else { break }
            guard PermissionRules.allowsWrite(tree[id].attributes, who) else {
                throw Refusal(.acces)
            }
            setSize(id, Int(size), who)
        }
        return id
    }

    private mutating func make(
        _ directory: Int, _ name: String, _ type: NFS3.FileType, _ new: NFS3.SetAttributes,
        _ who: Credential
    ) throws -> Int {
        try search(directory, who)
        guard tree[directory].children[name] == nil else { throw Refusal(.exist) }
        try checkWrite(directory, who)
        let (mode, gid) = PermissionRules.inherit(
            tree[directory].attributes, type: type,
            mode: type == .symbolicLink ? 0o777 : new.mode ?? 0, who)
        let id = tree.add(
            type, mode: mode, uid: who.uid, gid: gid,
            data: [UInt8](repeating: 0, count: Int(new.size ?? 0)))
        recorded.updateValue(nil, forKey: id)
        edit(id) { _ in }
        edit(directory) { _ in }
        tree.link(id, directory, name)
        return id
    }

    private mutating func link(
        _ id: Int, _ directory: Int, _ name: String, _ who: Credential
    ) throws -> Int {
        try search(directory, who)
        guard !tree[id].isDirectory else { throw Refusal(.isdir) }
        guard tree[directory].children[name] == nil else { throw Refusal(.exist) }
        try checkWrite(directory, who)
        edit(id) { _ in }
        edit(directory) { _ in }
        tree.link(id, directory, name)
        return id
    }

    private mutating func remove(
        _ directory: Int, _ name: String, isDirectory: Bool, _ who: Credential
    ) throws {
        try search(directory, who)
        guard let id = tree[directory].children[name] else { throw Refusal(.noent) }
        guard tree[id].isDirectory == isDirectory else {
            throw Refusal(isDirectory ? .notdir : .isdir)
        }
        try checkWrite(directory, who)
        try checkSticky(id, directory, who)
        if isDirectory, !tree[id].children.isEmpty { throw Refusal(.notEmpty) }
        unname(directory, name)
    }

    /// Takes a name away, and the object when it was the last one.
    private mutating func unname(_ directory: Int, _ name: String, frees: Bool = true) {
        guard let id = tree[directory].children[name] else { return }
        let isDirectory = tree[id].isDirectory
        edit(directory) {
            $0.children[name] = nil
            if isDirectory, $0.attributes.nlink > 2 { $0.attributes.nlink -= 1 }
        }
        edit(id) { if !isDirectory { $0.attributes.nlink -= 1 } }
        if frees, isDirectory || tree[id].attributes.nlink == 0 { free(id) }
    }

    private mutating func rename(
        _ from: Int, _ old: String, _ to: Int, _ new: String, _ who: Credential
    ) throws {
        guard tree[from].isDirectory, tree[to].isDirectory else { throw Refusal(.notdir) }
        try search(from, who)
        try search(to, who)
        guard let id = tree[from].children[old] else { throw Refusal(.noent) }
        try checkWrite(from, who)
        try checkSticky(id, from, who)
        try checkWrite(to, who)
        let replaced = tree[to].children[new]
        if replaced == id { return }
        if tree[id].isDirectory, isInside(to, id) { throw Refusal(.inval) }
        guard from == to || PermissionRules.mayChangeParent(of: tree[id].attributes, who) else {
            throw Refusal(.acces)
        }
        if let replaced {
            try checkSticky(replaced, to, who)
            switch (tree[id].isDirectory, tree[replaced].isDirectory) {
            case (true, false): throw Refusal(.notdir)
            case (false, true): throw Refusal(.isdir)
            case (true, true):
                guard tree[replaced].children.isEmpty else { throw Refusal(.notEmpty) }
            case (false, false): break
            }
            unname(to, new)
        }
        unname(from, old, frees: false)
        edit(to) { _ in }
        tree.link(id, to, new)
    }

    private func isInside(_ directory: Int, _ ancestor: Int) -> Bool {
        var current = directory
        while current != PlainTree.root {
            if current == ancestor { return true }
            current = tree[current].parent
        }
        return ancestor == PlainTree.root
    }

    private mutating func setAttributes(
        _ id: Int, _ new: NFS3.SetAttributes, _ who: Credential
    ) throws {
        do throws(Interrupt) {
            try PermissionRules.checkSetAttributes(new, tree[id].attributes, who)
        } catch {
            guard case .status(let status) = error else { throw Refusal(.serverFault) }
            throw Refusal(status)
        }
        if let size = new.size {
            try checkRegular(id)
            setSize(id, Int(size), who)
        }
        edit(id) {
            let changesOwner = new.uid != nil || new.gid != nil
            if changesOwner {
                $0.attributes.mode = PermissionRules.strippingSetIDForOwnerChange(
                    $0.attributes, who)
            }
            $0.attributes.uid = new.uid ?? $0.attributes.uid
            $0.attributes.gid = new.gid ?? $0.attributes.gid
            if let mode = new.mode {
                $0.attributes.mode = PermissionRules.mode(
                    mode, for: $0.attributes, changesOwner: changesOwner, who)
            }
            $0.verifier = nil
        }
    }

    private mutating func setSize(_ id: Int, _ size: Int, _ who: Credential) {
        edit(id) {
            if size < $0.data.count {
                $0.data.removeSubrange(size...)
            } else {
                $0.data += [UInt8](repeating: 0, count: size - $0.data.count)
            }
            $0.attributes.size = UInt64(size)
            $0.attributes.mode = PermissionRules.strippingSetID($0.attributes, who)
        }
    }

    private mutating func write(
        _ id: Int, _ offset: Int, _ bytes: ArraySlice<UInt8>, _ stable: NFS3.Stability,
        _ who: Credential
    ) throws {
        try checkRegular(id)
        guard PermissionRules.allowsWrite(tree[id].attributes, who) else { throw Refusal(.acces) }
        guard !bytes.isEmpty else {
            if stable != .unstable, unstable[id] != nil { touched.insert(id) }
            return
        }
        unstable[id, default: []].append(UnstableWrite(offset: offset, bytes: bytes))
        edit(id, touching: stable != .unstable) {
            let end = offset + bytes.count
            if end > $0.data.count {
                $0.data += [UInt8](repeating: 0, count: end - $0.data.count)
            }
            $0.data.replaceSubrange(offset..<end, with: bytes)
            $0.attributes.size = UInt64($0.data.count)
            $0.attributes.mode = PermissionRules.strippingSetID($0.attributes, who)
        }
    }
}
