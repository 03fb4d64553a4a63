import GRDB
import NFSProtocol
import SystemPackage

/// Puts a session that nobody uses onto another image: what it changed is merged with what is new there, see
/// `UpgradeRules`.
///
/// Main is asked for what the session changed, whatever the size of the images, and the session's data is
/// neither read nor copied but where there is a conflict. One transaction makes the session another; what it
/// was before is kept as a snapshot, to which ``StoredSession/rollBack(_:to:)`` goes back. The session gets a
/// new identity, so that handles that clients still have are stale.
public enum SessionUpgrade {
    /// Upgrades a session.
    /// - Parameter name: of a session that nobody serves.
    /// - Parameter old: the image that it stands on, asked only for what conflicts need; nil when it cannot be
    ///   reached.
    /// - Parameter new: the image that it is to stand on, open under the same state directory.
    /// - Parameter isDryRun: tells what would be done, and changes nothing of the session.
    /// - Parameter progress: told now and then how many changed objects have been looked for in the new image,
    ///   and how many there are.
    /// - Throws: `StateError` and ``ROWError``; the session is as it was then.
    public static func run(
        _ name: String, in state: StateLayout, from old: (any ImageSource)?, to new: Image,
        isDryRun: Bool = false,
        progress: @escaping @Sendable (_ done: Int, _ all: Int) -> Void = { _, _ in }
    ) async throws -> UpgradeReport {
        try StateLayout.check(sessionName: name)
        try state.checkRights()
        let session = state.session(name)
        let source = try StoredSession.read(session).image
        return try await run(
            session: session, oldImage: state.image(source), from: old, to: new, isDryRun: isDryRun,
            progress: progress)
    }

    /// - Parameter oldImage: the directory of the image that it stands on.
    static func run(
        session: FilePath, oldImage: FilePath, from source: (any ImageSource)?, to new: Image,
        isDryRun: Bool = false, progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) async throws -> UpgradeReport {
        let name = session.lastComponent?.string ?? ""
        let lock: FileLock
        do { lock = try FileLock(session.appending("lock"), purpose: "the session \(name)") } catch
        {
            guard error.code == .locked else { throw error }
            throw StateError(
                .locked,
                "the session \(name) is served now: unmount it and stop `rowctl serve`, then upgrade it"
            )
        }
        defer { lock.release() }
        _ = try SessionStore.checkWhole(session, name: name)
        if let shadow = try StoredSession.read(session).shadow {
            throw StateError(
                .shadowMismatch,
                "the data of the session \(name) is on the NFS server \(shadow.url): such a session "
                    + "cannot be upgraded; copy what it changed into a new session of the new image"
            )
        }
        let tree = try whole(session, name: name, oldImage)
        let old = try OldImage(
            oldImage, name: try StoredSession.read(session).image, source: source)
        guard old.name != new.name else {
            throw StateError(
                .imageMismatch, "the session \(name) stands on \(new.name) already")
        }
        do {
            let report = try await upgrade(
                session, name: name, tree, from: old, to: NewImage(new), isDryRun: isDryRun,
                progress: progress)
            await old.close()
            return report
        } catch {
            await old.close()
            throw error
        }
    }

    private static func upgrade(
        _ session: FilePath, name: String, _ tree: SessionTree, from old: OldImage,
        to new: NewImage, isDryRun: Bool, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws -> UpgradeReport {
        let planner = UpgradePlanner(
            tree, shadow: session.appending("shadow"), from: old, to: new, now: .now(),
            progress: progress)
        let plan = try await planner.run()
        var report = plan.report
        guard !isDryRun else { return report }
        let change = UpgradeTransaction(
            session: session, name: name, tree: tree, plan: plan, data: planner.data)
        report.snapshot = try await change.carryOut(old, new)
        return report
    }

    /// A session's rows, if they make sense and are those of this image database.
    private static func whole(
        _ session: FilePath, name: String, _ image: FilePath
    ) throws(StateError) -> SessionTree {
        let images = [ImageFacts(image)].compactMap { $0 }
        let look = try SessionCheck.Look(session: session, images: images, givenSource: nil)
        guard let check = look.check, !look.findings.contains(where: { $0.severity == .damage })
        else {
            throw StateError(
                .unreadable, "the session \(name) is damaged; \(SessionStore.advice(name))")
        }
        guard check.image != nil else {
            throw StateError(
                .imageMismatch,
                "the database of the session's image was lost or is an older copy: serve the session "
                    + "once on its image, so that it finds its objects again, and upgrade it then")
        }
        return SessionTree(look.database.records)
    }
}
