public import NFSProtocol

/// Bits of a mode beside the nine of rwx.
enum ModeBits {
    static let setUID: UInt32 = 0o4000
    static let setGID: UInt32 = 0o2000
    static let sticky: UInt32 = 0o1000
    static let groupExecute: UInt32 = 0o010
    static let all: UInt32 = 0o7777
}

/// What becomes of a mode, its set-id bits above all, when something else is done.
extension PermissionRules {
    /// The mode after a write or a truncation: a file that others can change must not go on running
    /// as its owner or group. Root leaves it as it is.
    public static func strippingSetID(
        _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> UInt32 {
        guard attributes.type == .regular, !credential.isRoot else { return attributes.mode }
        return withoutSetID(attributes, credential)
    }

    /// The mode after a change of owner or group, whoever makes it. Directories keep theirs.
    /// - Parameter attributes: those before the change.
    public static func strippingSetIDForOwnerChange(
        _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> UInt32 {
        guard attributes.type != .directory else { return attributes.mode }
        return withoutSetID(attributes, credential)
    }

    /// The mode that a SETATTR of `mode` leaves behind: symbolic links keep theirs, and whoever is not
    /// in the file's group cannot make it run as that group.
    /// - Parameter attributes: with the owner and group that the same SETATTR gives.
    /// - Parameter changesOwner: whether the same SETATTR gives an owner or group; its mode then goes
    ///   the way of ``strippingSetIDForOwnerChange(_:_:)``.
    public static func mode(
        _ mode: UInt32, for attributes: NFS3.Attributes, changesOwner: Bool = false,
        _ credential: Credential
    ) -> UInt32 {
        guard attributes.type != .symbolicLink else { return attributes.mode }
        var mode = mode & ModeBits.all
        if changesOwner, attributes.type != .directory {
            mode &= ~ModeBits.setUID
            if mode & ModeBits.groupExecute != 0 { mode &= ~ModeBits.setGID }
        }
        return isGroupTrusted(attributes.gid, credential) ? mode : mode & ~ModeBits.setGID
    }

    /// Mode and group of a new object. A directory with the set-gid bit passes on its group, and the
    /// bit to directories; elsewhere the bit cannot be had for a group that the caller is not in.
    public static func inherit(
        _ directory: NFS3.Attributes, type: NFS3.FileType, mode: UInt32, _ credential: Credential
    ) -> (mode: UInt32, gid: UInt32) {
        // mkdir(2) knows no set-id bits.
        var mode = mode & (type == .directory ? 0o1777 : ModeBits.all)
        guard directory.mode & ModeBits.setGID != 0 else { return (mode, credential.gid) }
        if type == .directory {
            mode |= ModeBits.setGID
        } else if mode & ModeBits.groupExecute != 0, !isGroupTrusted(directory.gid, credential) {
            mode &= ~ModeBits.setGID
        }
        return (mode, directory.gid)
    }

    private static func withoutSetID(
        _ attributes: NFS3.Attributes, _ credential: Credential
    ) -> UInt32 {
        let mode = attributes.mode & ~ModeBits.setUID
        let keepsGroup =
            mode & ModeBits.groupExecute == 0 && isGroupTrusted(attributes.gid, credential)
        return keepsGroup ? mode : mode & ~ModeBits.setGID
    }

    private static func isGroupTrusted(_ gid: UInt32, _ credential: Credential) -> Bool {
        credential.isRoot || credential.isInGroup(gid)
    }
}
