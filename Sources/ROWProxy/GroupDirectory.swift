import Glibc
import NIOCore
import NIOPosix
import ROWCore

/// The supplementary groups that this machine knows its users to have (`--manage-gids`). Looking one
/// up may ask a directory server, so it is done on the pool and the answer kept for a while.
///
/// Loop-confined.
final class GroupDirectory {
    private struct Entry {
        /// nil for a user that this machine does not know.
        let groups: GroupList?
        let lookedUp: NIODeadline
    }

    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private var entries: [UInt32: Entry] = [:]
    private var waiting: [UInt32: [() -> Void]] = [:]

    private static let entriesMaximum = 4096
    private static let ageMaximum = TimeAmount.minutes(10)

    init(loop: any EventLoop, pool: NIOThreadPool) {
        self.loop = loop
        self.pool = pool
    }

    /// Whether a user has been looked up not long ago.
    func isKnown(uid: UInt32) -> Bool {
        guard let entry = entries[uid] else { return false }
        return NIODeadline.now() - entry.lookedUp < Self.ageMaximum
    }

    /// - Returns: nil for a user that has not been looked up or that this machine does not know: the
    ///   call is then believed.
    func groups(of uid: UInt32) -> GroupList? { entries[uid]?.groups }

    /// Looks a user up; `then` runs on the loop.
    func look(up uid: UInt32, then: @escaping () -> Void) {
        guard waiting[uid] == nil else {
            waiting[uid]?.append(then)
            return
        }
        waiting[uid] = [then]
        let bound = NIOLoopBound(self, eventLoop: loop)
        pool.runIfActive(eventLoop: loop) { groupsOnThisMachine(of: uid) }
            .whenComplete { result in
                bound.value.found((try? result.get()).flatMap(\.self), of: uid)
            }
    }

    private func found(_ groups: [UInt32]?, of uid: UInt32) {
        if entries.count >= Self.entriesMaximum { entries.removeAll(keepingCapacity: true) }
        entries[uid] = Entry(groups: groups.map { GroupList($0) }, lookedUp: .now())
        for then in waiting.removeValue(forKey: uid) ?? [] { then() }
    }
}

/// All groups of a user, by this machine's user database; nil when it has no such user.
func groupsOnThisMachine(of uid: UInt32) -> [UInt32]? {
    var user = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var memory = [CChar](repeating: 0, count: 4096)
    while getpwuid_r(uid, &user, &memory, memory.count, &found) == ERANGE, memory.count < 1 << 20 {
        memory = [CChar](repeating: 0, count: memory.count * 2)
    }
    guard found != nil, let name = user.pw_name else { return nil }
    var count: Int32 = 64
    var groups = [gid_t](repeating: 0, count: Int(count))
    while getgrouplist(name, user.pw_gid, &groups, &count) < 0, groups.count < 1 << 16 {
        groups = [gid_t](repeating: 0, count: max(Int(count), groups.count * 2))
        count = Int32(groups.count)
    }
    return Array(groups.prefix(Int(count)))
}
