import NFSProtocol

/// What an upgrade does with each thing that a session changed: a three-way merge of the old image, the
/// session and the new image. Decisions only; ``UpgradePlanner`` finds the facts and follows them.
///
/// Objects of the two images correspond by their path, directories by the path alone, other objects also
/// by their type; an object with several names by any of those that the session still has. What nothing
/// in the session refers to is the new image's.
///
/// An object of the image whose data or attributes the session changed:
///
/// | session          | new image            | outcome                                                 |
/// |------------------|----------------------|---------------------------------------------------------|
/// | data             | same data            | the session's blocks over the new object                |
/// | attributes only  | any                  | the new object's data                                   |
/// | data             | other data           | conflict: the session's file whole, main's beside it    |
/// | anything         | gone                 | conflict: a whole object of the session's own           |
/// | nothing, renamed | gone                 | conflict: the same; of a directory what the session did |
///
/// Attributes are merged one by one where there is a new object. One that both changed, to different
/// values, is a conflict: the session's value stays.
///
/// A name that the session removed or gave to something else:
///
/// | session's name   | its old object   | new image has      | outcome                            |
/// |------------------|------------------|--------------------|------------------------------------|
/// | any              | any              | nothing            | as in the session                  |
/// | removed          | removed          | the same, as it was| removed                            |
/// | removed          | removed          | anything else      | conflict: removed, main's beside   |
/// | removed          | has another name | the same           | removed                            |
/// | removed          | has another name | something else     | main's                             |
/// | removed          | there was none   | something          | main's                             |
/// | something        | has another name, or is removed | the same, as it was | the session's     |
/// | made, or moved here | there was none, or has another name | something else | conflict, see below |
/// | made, or moved here | removed       | anything else      | conflict, see below                |
///
/// Of a conflict about a name the session's object keeps the name, and main's is beside it. But where both
/// have a directory of their own making, the two are merged; and where both made the same, it is main's.
enum UpgradeRules {
    /// Whether an object of the new image has other data than the one that it was: another type, size or
    /// time of modification, or device number. Of a directory only the type counts.
    static func hasOtherData(_ base: NFS3.Attributes, _ theirs: NFS3.Attributes) -> Bool {
        !base.isSameObject(as: theirs)
            || (base.type == .blockDevice || base.type == .characterDevice)
                && base.rdev != theirs.rdev
    }

    /// Whether the new image has changed an object at all, what is in a directory apart.
    static func isChanged(_ base: NFS3.Attributes, _ theirs: NFS3.Attributes) -> Bool {
        hasOtherData(base, theirs) || base.mode & 0o7777 != theirs.mode & 0o7777
            || base.uid != theirs.uid || base.gid != theirs.gid
    }

    // MARK: Objects

    enum ObjectOutcome: Equatable {
        /// The new image's object, with merged attributes and none of the session's data.
        case follow
        /// The new image's object, with merged attributes and the session's data.
        case carry
        /// A whole object of the session's own, since main's has other data or is gone.
        case keep
        /// Nothing of it is left to be kept.
        case drop
    }

    /// What the session did to an object of the image that it did not remove.
    struct ObjectFacts {
        var hasChangedData: Bool
        /// Mode, owner, group, or the time of anything but a directory.
        var hasChangedAttributes: Bool
        /// The session gave it a name.
        var isNamed: Bool

        var isChanged: Bool { hasChangedData || hasChangedAttributes }
    }

    /// - Parameter theirs: nil when the new image has nothing that it corresponds to.
    static func outcome(
        _ facts: ObjectFacts, base: NFS3.Attributes, theirs: NFS3.Attributes?
    ) -> ObjectOutcome {
        guard let theirs else { return facts.isChanged || facts.isNamed ? .keep : .drop }
        guard facts.hasChangedData else { return .follow }
        return hasOtherData(base, theirs) ? .keep : .carry
    }

    /// Attributes of an object that is in all three.
    struct Merged {
        /// The new image's, but for what the session set.
        var attributes: NFS3.Attributes
        /// What both changed to different values.
        var conflicts: Change.Aspects = []
        /// Whether each side changed something.
        var isOfBoth = false
        /// Whether anything is not as in the new image.
        var isOurs = false
    }

    /// - Parameter takesData: whether the data is the session's.
    static func merge(
        base: NFS3.Attributes, ours: NFS3.Attributes, theirs: NFS3.Attributes, takesData: Bool
    ) -> Merged {
        var merged = Merged(attributes: theirs)
        merged.attributes.mode &= 0o7777
        var theirsChanged = hasOtherData(base, theirs)
        func field<T: Equatable>(
            _ path: WritableKeyPath<NFS3.Attributes, T>, _ aspect: Change.Aspects,
            _ base: T, _ ours: T, _ theirs: T
        ) {
            if theirs != base { theirsChanged = true }
            guard ours != base, ours != theirs else { return }
            merged.attributes[keyPath: path] = ours
            merged.isOurs = true
            if theirs != base { merged.conflicts.insert(aspect) }
        }
        field(\.mode, .mode, base.mode & 0o7777, ours.mode & 0o7777, theirs.mode & 0o7777)
        field(\.uid, .owner, base.uid, ours.uid, theirs.uid)
        field(\.gid, .group, base.gid, ours.gid, theirs.gid)
        if ours.atime != base.atime, ours.atime != theirs.atime {
            merged.attributes.atime = ours.atime
            merged.isOurs = true
        }
        if base.type == .directory {
            // Both sides' changes are in it: the later one.
            if ours.mtime != base.mtime, theirs.mtime == base.mtime || ours.mtime > theirs.mtime {
                merged.attributes.mtime = ours.mtime
                merged.isOurs = true
            }
        } else {
            field(\.mtime, .modificationTime, base.mtime, ours.mtime, theirs.mtime)
        }
        if takesData {
            merged.attributes.size = ours.size
            merged.attributes.used = ours.used
        }
        merged.isOfBoth = (merged.isOurs || takesData) && theirsChanged
        return merged
    }

    // MARK: Names

    /// What stands under a name in the session.
    enum OwnName {
        case nothing
        /// - Parameter isNewDirectory: the session made it.
        case object(isNewDirectory: Bool)
    }

    /// What became of the old image's object of a name.
    enum OldName {
        case none
        case removed(isDirectory: Bool)
        /// It is in the session by another name.
        case elsewhere
    }

    /// What the new image has under a name.
    enum NewName {
        case nothing
        /// What the old one had, with nothing about it changed, or what became of that while the session
        /// has it by another name.
        case same
        case other(isDirectory: Bool)
    }

    enum NameOutcome: Equatable {
        /// As the new image has it.
        case theirs
        /// Nothing.
        case hidden
        /// What the session has.
        case ours
        /// Nothing, and main's object beside it.
        case hiddenBeside
        /// What the session has, and main's object beside it; main's alone where the two are equal.
        case oursBeside(UpgradeConflict.Kind)
        /// One directory with what both have.
        case merged
    }

    static func outcome(_ own: OwnName, _ old: OldName, _ new: NewName) -> NameOutcome {
        switch (own, new) {
        case (.nothing, .nothing): return .theirs
        case (.object, .nothing), (.object, .same): return .ours
        case (.nothing, .same): return .hidden
        case (.nothing, .other):
            if case .removed = old { return .hiddenBeside }
            return .theirs
        case (.object(isNewDirectory: true), .other(isDirectory: true)):
            if case .removed(isDirectory: true) = old { return .oursBeside(.changed) }
            return .merged
        case (.object, .other):
            if case .removed = old { return .oursBeside(.changed) }
            return .oursBeside(.created)
        }
    }
}
