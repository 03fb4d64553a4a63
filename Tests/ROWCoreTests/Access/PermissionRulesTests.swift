import NFSProtocol
import Testing

@testable import ROWCore

let owner = Credential(uid: 1000, gid: 1000, groups: [1000, 3000])
let member = Credential(uid: 1001, gid: 1001, groups: [5, 2000])
let primaryMember = Credential(uid: 1002, gid: 2000)
let stranger = Credential(uid: 1003, gid: 1003, groups: [1, 2, 3])

/// An object of user 1000 and group 2000.
func object(
    _ type: NFS3.FileType, _ mode: UInt32, uid: UInt32 = 1000, gid: UInt32 = 2000
) -> NFS3.Attributes {
    let time = NFS3.Time(seconds: 1, nanoseconds: 0)
    return NFS3.Attributes(
        type: type, mode: mode, nlink: 1, uid: uid, gid: gid, size: 0, used: 0,
        rdev: NFS3.Device(major: 0, minor: 0), fsid: 1, fileid: 1, atime: time, mtime: time,
        ctime: time)
}

@Suite struct CredentialTests {
    @Test(arguments: [0, 1, 16, 17, 400])
    func groupsAreThePrimaryOneAndAnyNumberMore(count: Int) {
        let end = UInt32(100 + count)
        let many = Credential(uid: 1, gid: 99, groups: GroupList(100..<end))
        #expect(many.groups.count == count)
        #expect((0..<count).map { many.groups[$0] } == Array(100..<end))
        #expect(many.isInGroup(99) && (100..<end).allSatisfy { many.isInGroup($0) })
        #expect(!many.isInGroup(end) && !many.isInGroup(0))
        #expect(many.squashingRoot() == many)
    }

    @Test func equalityIsThatOfTheGroupsInTheList() {
        #expect(owner == Credential(uid: 1000, gid: 1000, groups: [1000, 3000]))
        #expect(owner != Credential(uid: 1000, gid: 1000, groups: [1000]))
        #expect(owner != Credential(uid: 1000, gid: 1000, groups: [1000, 3001]))
        #expect(Set([owner, owner, member]).count == 2)
    }

    @Test func squashingReplacesEveryZero() {
        let squashed = Credential(uid: 0, gid: 0, groups: [0, 7]).squashingRoot()
        #expect(squashed == Credential(uid: 65534, gid: 65534, groups: [65534, 7]))
        #expect(owner.squashingRoot() == owner)
    }
}

@Suite struct PermissionRulesTests {
    @Test func exactlyOneClassOfBitsCounts() {
        let callers: [(Credential, UInt32)] = [
            (owner, 6), (member, 3), (primaryMember, 3), (stranger, 0),
        ]
        for (caller, shift) in callers {
            for bits in 0..<8 as Range<UInt32> {
                let wanted = Permission(rawValue: bits)
                // Everything for this class and nothing for the others, then the reverse.
                let mine = object(.regular, 7 << shift)
                let others = object(.regular, 0o777 & ~(7 << shift))
                #expect(PermissionRules.allows(wanted, mine, caller))
                #expect(PermissionRules.allows(wanted, others, caller) == wanted.isEmpty)
                let exact = object(.regular, bits << shift)
                #expect(PermissionRules.allows(wanted, exact, caller))
            }
        }
    }

    @Test func rootExecutesOnlyWhatSomebodyMay() {
        let all: Permission = [.read, .write]
        #expect(PermissionRules.allows(all, object(.regular, 0), .root))
        #expect(!PermissionRules.allows(.execute, object(.regular, 0o666), .root))
        #expect(PermissionRules.allows(.execute, object(.regular, 0o010), .root))
        #expect(PermissionRules.allows([.read, .write, .execute], object(.directory, 0), .root))
    }

    @Test func theOwnerReadsAndWritesDataWhateverTheMode() {
        let file = object(.regular, 0)
        #expect(PermissionRules.allowsRead(file, owner) && PermissionRules.allowsWrite(file, owner))
        #expect(!PermissionRules.allowsRead(file, member))
        #expect(!PermissionRules.allowsWrite(file, member))
        #expect(PermissionRules.accessRights(0x3f, file, owner) == 0)
    }

    @Test func aProgramMayBeReadToBeRun() {
        let program = object(.regular, 0o711)
        #expect(PermissionRules.allowsRead(program, stranger))
        #expect(PermissionRules.accessRights(0x3f, program, stranger) == 0x20)
        #expect(!PermissionRules.allowsRead(object(.directory, 0o711), stranger))
    }

    // READ 1, LOOKUP 2, MODIFY 4, EXTEND 8, DELETE 0x10, EXECUTE 0x20
    @Test(
        arguments: [
            (NFS3.FileType.regular, 0o754, owner, 0x2d), (.regular, 0o754, member, 0x21),
            (.regular, 0o754, stranger, 0x01), (.regular, 0o644, .root, 0x0d),
            (.directory, 0o754, owner, 0x1f), (.directory, 0o754, member, 0x03),
            (.directory, 0o754, stranger, 0x01), (.directory, 0o702, stranger, 0),
            (.directory, 0, .root, 0x1f), (.symbolicLink, 0o777, stranger, 0x2d),
            (.characterDevice, 0o620, member, 0x0c),
        ] as [(NFS3.FileType, UInt32, Credential, UInt32)])
    func accessTellsWhatTheModeGrants(
        type: NFS3.FileType, mode: UInt32, caller: Credential, rights: UInt32
    ) {
        #expect(PermissionRules.accessRights(0x3f, object(type, mode), caller) == rights)
        #expect(PermissionRules.accessRights(0xffff_ffff, object(type, mode), caller) == rights)
        for bit in 0..<6 as Range<UInt32> {
            let asked: UInt32 = 1 << bit
            #expect(
                PermissionRules.accessRights(asked, object(type, mode), caller) == rights & asked)
        }
    }

    @Test func aStickyDirectoryProtectsEntriesOfOthers() {
        let sticky = object(.directory, 0o1777, uid: 1)
        let entry = object(.regular, 0o666)
        #expect(PermissionRules.mayDelete(entry, from: sticky, owner))
        #expect(PermissionRules.mayDelete(entry, from: sticky, .root))
        #expect(!PermissionRules.mayDelete(entry, from: sticky, member))
        #expect(PermissionRules.mayDelete(entry, from: object(.directory, 0o777, uid: 1), member))
        let own = object(.directory, 0o1777, uid: 1001)
        #expect(PermissionRules.mayDelete(entry, from: own, member))
    }

    @Test func aDirectoryIsMovedOnlyByThoseWhoMayWriteIt() {
        #expect(PermissionRules.mayChangeParent(of: object(.regular, 0), stranger))
        #expect(PermissionRules.mayChangeParent(of: object(.directory, 0o200), owner))
        #expect(!PermissionRules.mayChangeParent(of: object(.directory, 0o755), stranger))
        #expect(PermissionRules.mayChangeParent(of: object(.directory, 0), .root))
    }

    private static let client = NFS3.SetTime.clientTime(NFS3.Time(seconds: 5, nanoseconds: 0))

    // nil: allowed.
    @Test(
        arguments: [
            (.init(mode: 0o600), owner, nil), (.init(mode: 0o600), member, .perm),
            (.init(mode: 0o600), .root, nil),
            (.init(uid: 1000), owner, nil), (.init(uid: 1001), owner, .perm),
            (.init(uid: 1000), member, .perm), (.init(uid: 5), .root, nil),
            (.init(gid: 3000), owner, nil), (.init(gid: 1000), owner, nil),
            (.init(gid: 2000), owner, nil), (.init(gid: 4000), owner, .perm),
            (.init(gid: 2000), member, .perm), (.init(gid: 4000), .root, nil),
            (.init(size: 0), owner, nil), (.init(size: 0), member, nil),
            (.init(size: 0), stranger, .acces), (.init(size: 0), .root, nil),
            (.init(mtime: .serverTime), owner, nil), (.init(mtime: .serverTime), member, nil),
            (.init(atime: .serverTime), stranger, .acces),
            (.init(mtime: client), owner, nil), (.init(mtime: client), member, .perm),
            (.init(atime: client, mtime: .serverTime), stranger, .perm),
            (.init(mode: 0o600, size: 0), stranger, .acces), (.init(), stranger, nil),
        ] as [(NFS3.SetAttributes, Credential, NFS3.Status?)])
    func settingAttributesIsRefusedAsLinuxDoes(
        new: NFS3.SetAttributes, caller: Credential, refusal: NFS3.Status?
    ) {
        // The owner cannot write by the mode; the group can.
        let file = object(.regular, 0o060)
        var found: Interrupt?
        do { try PermissionRules.checkSetAttributes(new, file, caller) } catch { found = error }
        #expect(found == refusal.map { .status($0) })
    }

    @Test func theModeOfASymbolicLinkIsNobodysToChange() throws {
        let link = object(.symbolicLink, 0o777)
        try PermissionRules.checkSetAttributes(NFS3.SetAttributes(mode: 0), link, stranger)
        #expect(PermissionRules.mode(0, for: link, owner) == 0o777)
    }
}

@Suite struct ModeRulesTests {
    private func afterWrite(_ mode: UInt32, _ caller: Credential) -> UInt32 {
        PermissionRules.strippingSetID(object(.regular, mode), caller)
    }

    @Test func aWriteTakesSetIDAwayUnlessRootMakesIt() {
        #expect(afterWrite(0o6777, member) == 0o777)
        #expect(afterWrite(0o6777, .root) == 0o6777)
        #expect(afterWrite(0o4644, owner) == 0o644)
        #expect(afterWrite(0o1666, stranger) == 0o1666)
    }

    @Test func setGIDWithoutGroupExecuteStaysForMembers() {
        #expect(afterWrite(0o2766, member) == 0o2766)
        #expect(afterWrite(0o2766, primaryMember) == 0o2766)
        #expect(afterWrite(0o2766, stranger) == 0o766)
    }

    @Test func directoriesKeepTheirs() {
        let directory = object(.directory, 0o6777)
        #expect(PermissionRules.strippingSetID(directory, member) == 0o6777)
        #expect(PermissionRules.strippingSetIDForOwnerChange(directory, .root) == 0o6777)
    }

    @Test func aChangeOfOwnerTakesSetIDAwayEvenForRoot() {
        let change = PermissionRules.strippingSetIDForOwnerChange
        #expect(change(object(.regular, 0o6777), .root) == 0o777)
        #expect(change(object(.regular, 0o6767), .root) == 0o2767)
        #expect(change(object(.regular, 0o6767), owner) == 0o767)
        #expect(change(object(.fifo, 0o6777), .root) == 0o777)
    }

    @Test func chmodGivesSetGIDOnlyForAGroupOfTheCaller() {
        let file = object(.regular, 0o644)
        #expect(PermissionRules.mode(0o6755, for: file, owner) == 0o4755)
        #expect(PermissionRules.mode(0o6755, for: file, member) == 0o6755)
        #expect(PermissionRules.mode(0o6755, for: file, .root) == 0o6755)
        #expect(PermissionRules.mode(0o2755, for: object(.directory, 0o755), owner) == 0o755)
        #expect(PermissionRules.mode(0o107755, for: file, .root) == 0o7755)
    }

    @Test func chmodTogetherWithChownGivesNoSetID() {
        let file = object(.regular, 0o644)
        #expect(PermissionRules.mode(0o6755, for: file, changesOwner: true, .root) == 0o755)
        #expect(PermissionRules.mode(0o6745, for: file, changesOwner: true, .root) == 0o2745)
        let directory = object(.directory, 0o755)
        #expect(PermissionRules.mode(0o6755, for: directory, changesOwner: true, .root) == 0o6755)
    }

    @Test(
        arguments: [
            (0o755, .regular, 0o6755, owner, 0o6755, 1000),
            (0o755, .directory, 0o7755, owner, 0o1755, 1000),
            (0o2755, .regular, 0o6745, owner, 0o6745, 2000),
            (0o2755, .regular, 0o6755, owner, 0o4755, 2000),
            (0o2755, .regular, 0o6755, member, 0o6755, 2000),
            (0o2755, .regular, 0o6755, .root, 0o6755, 2000),
            (0o2755, .directory, 0o755, stranger, 0o2755, 2000),
            (0o2755, .symbolicLink, 0o777, stranger, 0o777, 2000),
        ] as [(UInt32, NFS3.FileType, UInt32, Credential, UInt32, UInt32)])
    func aSetGIDDirectoryPassesOnItsGroup(
        directory: UInt32, type: NFS3.FileType, mode: UInt32, caller: Credential,
        newMode: UInt32, newGroup: UInt32
    ) {
        let made = PermissionRules.inherit(
            object(.directory, directory), type: type, mode: mode, caller)
        #expect(made == (newMode, newGroup))
    }
}
