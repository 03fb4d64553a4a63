public import NFSProtocol

/// Kinds of access that mode bits tell apart. The raw value is that of one octal digit of a mode.
public struct Permission: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Execute a file, or look names up in a directory.
    public static let execute = Permission(rawValue: 1)
    /// Change a file's data, or a directory's entries.
    public static let write = Permission(rawValue: 2)
    /// Read a file's data, or list a directory.
    public static let read = Permission(rawValue: 4)
}

/// Who may do what, decided from attributes alone as Linux and its NFS server decide it. Whether main
/// is exported read-only plays no part.
public enum PermissionRules {
    /// Whether mode bits and root's privilege grant all of `wanted`. Exactly one class of bits
    /// counts: the owner's, the group's or the others'.
    public static func allows(
        _ wanted: Permission, _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> Bool {
        if credential.isRoot {
            return attributes.type == .directory || !wanted.contains(.execute)
                || attributes.mode & 0o111 != 0
        }
        let shift: UInt32 =
            if credential.uid == attributes.uid {
                6
            } else if credential.isInGroup(attributes.gid) {
                3
            } else {
                0
            }
        return Permission(rawValue: attributes.mode >> shift).isSuperset(of: wanted)
    }

    /// Whether READ is answered. The owner may always: the file may have been opened before its mode
    /// was changed. Permission to execute is enough, since a program is read to be run.
    public static func allowsRead(
        _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> Bool {
        credential.uid == attributes.uid || allows(.read, attributes, credential)
            || attributes.type == .regular && allows(.execute, attributes, credential)
    }

    /// Whether WRITE, COMMIT and SETATTR of the size are answered. The owner may always, as for READ.
    public static func allowsWrite(
        _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> Bool {
        credential.uid == attributes.uid || allows(.write, attributes, credential)
    }

    // MARK: ACCESS

    /// Which of the requested rights the caller has (ACCESS, RFC 1813 §3.3.4). Bits that mean nothing
    /// for the type of object are not granted, DELETE of anything but a directory's entries among
    /// them. What ``allowsRead(_:_:)`` and ``allowsWrite(_:_:)`` grant beyond the mode is left out: the
    /// client asks here before an open, and must see the mode as it is.
    public static func accessRights(
        _ requested: UInt32, _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> UInt32 {
        let isDirectory = attributes.type == .directory
        let changes: Permission = isDirectory ? [.write, .execute] : .write
        let asked = NFS3.AccessRights(rawValue: requested)
        var granted: NFS3.AccessRights = []
        func grant(_ right: NFS3.AccessRights, for permission: Permission) {
            guard asked.contains(right), allows(permission, attributes, credential) else { return }
            granted.insert(right)
        }
        grant(.read, for: .read)
        grant(isDirectory ? .lookup : .execute, for: .execute)
        grant(.modify, for: changes)
        grant(.extend, for: changes)
        if isDirectory { grant(.delete, for: changes) }
        return granted.rawValue
    }

    /// The rights that are left to give when nothing may be changed at all.
    public static let readOnlyRights =
        NFS3.AccessRights([.read, .lookup, .execute]).rawValue

    // MARK: Names

    /// Whether a sticky directory lets the caller remove, rename or replace this entry: only the
    /// owner of either, and root. Refused with PERM. Permission to write the directory is another
    /// question, refused with ACCES.
    public static func mayDelete(
        _ entry: NFS3.Attributes, from directory: NFS3.Attributes, _ credential: Credential
    ) -> Bool {
        directory.mode & ModeBits.sticky == 0 || credential.isRoot
            || credential.uid == entry.uid || credential.uid == directory.uid
    }

    /// Whether the caller may give an object another parent: a directory's `..` changes, so it must
    /// be writable itself. Refused with ACCES.
    public static func mayChangeParent(
        of attributes: NFS3.Attributes, _ credential: Credential
    ) -> Bool {
        attributes.type != .directory || allows(.write, attributes, credential)
    }

    // MARK: SETATTR

    /// Refuses what the caller may not set (SETATTR, RFC 1813 §3.3.2): ACCES where write permission is
    /// missing, PERM where only the owner may.
    public static func checkSetAttributes(
        _ new: NFS3.SetAttributes, _ attributes: NFS3.Attributes, _ credential: Credential
    ) throws(Interrupt) {
        if new.size != nil || setsServerTimeOnly(new), !allowsWrite(attributes, credential) {
            throw .status(.acces)
        }
        guard !credential.isRoot else { return }
        let isOwner = credential.uid == attributes.uid
        if let uid = new.uid, !isOwner || uid != attributes.uid { throw .status(.perm) }
        if let gid = new.gid,
            !isOwner || gid != attributes.gid && !credential.isInGroup(gid)
        {
            throw .status(.perm)
        }
        // The mode of a symbolic link is never changed, so anybody may try.
        if new.mode != nil, !isOwner, attributes.type != .symbolicLink { throw .status(.perm) }
        if setsClientTime(new), !isOwner { throw .status(.perm) }
    }

    /// `utimes` to the present: write permission suffices.
    private static func setsServerTimeOnly(_ new: NFS3.SetAttributes) -> Bool {
        (new.atime == .serverTime || new.mtime == .serverTime) && !setsClientTime(new)
    }

    private static func setsClientTime(_ new: NFS3.SetAttributes) -> Bool {
        if case .clientTime = new.atime { return true }
        if case .clientTime = new.mtime { return true }
        return false
    }
}
