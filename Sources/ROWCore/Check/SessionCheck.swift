import Foundation
import GRDB
import Glibc
public import SystemPackage

/// Checks a session that nobody uses: its database, its shadow, and each against the other and the
/// image. A repair saves all that is intact; what cannot be understood goes to `lost+found-N` in the
/// session's directory, and nothing is deleted.
///
/// Memory grows with the number of the session's rows, not with the image or the data.
public enum SessionCheck {
    /// What a check found, and what a repair left.
    public struct Report: Sendable, Codable, Hashable {
        /// Everything that was found, in the order in which it was looked for.
        public internal(set) var findings: [SessionFinding]
        /// What is so now: the same findings without a repair, what it could not put right with one.
        public internal(set) var left: [SessionFinding]
        /// Where a repair put what it moved aside; nil when there was nothing.
        public internal(set) var lostAndFound: String?

        /// Whether no damage is left; notes do not count.
        public var isClean: Bool { !left.contains { $0.severity == .damage } }
    }

    /// Checks a session by name.
    /// - Parameter source: the name of the image that it stands on (``ImageSource/name``), for when its own
    ///   record of that is lost.
    /// - Parameter isRepairing: puts right what is found; otherwise nothing is changed.
    /// - Throws: `notFound` when there is no such session, `locked` when it is in use, `io` when the
    ///   file system refuses.
    public static func run(
        _ name: String, in state: StateLayout, image source: String? = nil,
        isRepairing: Bool = false
    ) throws(StateError) -> Report {
        try StateLayout.check(sessionName: name)
        try state.checkRights()
        let images = state.path.appending("images")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: images.string)) ?? []
        return try run(
            session: state.session(name), images: names.sorted().map { images.appending($0) },
            source: source, isRepairing: isRepairing)
    }

    /// Checks a session.
    /// - Parameter session: its directory.
    /// - Parameter images: directories of images, among which that of the session's is looked for.
    public static func run(
        session: FilePath, images: [FilePath], source: String? = nil, isRepairing: Bool = false
    ) throws(StateError) -> Report {
        guard try DatabaseState.size(session) != nil else {
            throw StateError(.notFound, "there is no session in \(session)")
        }
        let name = session.lastComponent?.string ?? ""
        let lock = try FileLock(session.appending("lock"), purpose: "the session \(name)")
        defer { lock.release() }
        let images = images.compactMap(ImageFacts.init)
        var look = try Look(session: session, images: images, givenSource: source)
        var report = Report(findings: look.findings, left: look.findings, lostAndFound: nil)
        guard isRepairing else { return report }
        let repair = SessionRepair(session: session)
        // One repair may bring to light what the damage hid.
        for _ in 0..<roundsMaximum where look.isRepairable {
            try look.refuseServerData()
            try repair.carryOut(look)
            look = try Look(session: session, images: images, givenSource: source)
            report.findings += look.findings.filter { !report.findings.contains($0) }
        }
        report.left = look.findings
        report.lostAndFound = repair.lostAndFound.directory?.string
        if repair.lostAndFound.directory != nil {
            try repair.lostAndFound.write(
                report.findings.map(\.description), to: "findings.txt")
        }
        return report
    }

    private static let roundsMaximum = 8

    /// What one look at a session finds, and what would put it right.
    struct Look {
        let database: DatabaseState
        /// The NFS server that keeps the data; nil for the session's directory.
        let server: String?
        let check: RecordCheck?

        init(
            session: FilePath, images: [ImageFacts], givenSource: String?
        ) throws(StateError) {
            database = try DatabaseState(session: session)
            guard !database.isNewer else {
                server = nil
                check = nil
                return
            }
            var shadow: ShadowFacts
            do { shadow = try ShadowFacts(session.appending("shadow")) } catch {
                throw StateError(.io, "cannot list the shadow of \(session): \(error)")
            }
            let records = database.records
            server = records.meta(SessionStore.ShadowKey.name)?.text
            if server != nil { shadow.assume(records) }
            let source = records.meta("image")?.text
            let epoch = records.meta("epoch")?.integer
            let named = images.first { $0.source == source } ?? images.first { $0.epoch == epoch }
            let isCurrent = named.map { image in
                image.epoch == epoch
                    && records.meta("generation")?.integer ?? 0 <= image.generation
            }
            var check = RecordCheck(
                records, shadow: shadow, image: isCurrent == true ? named : nil,
                candidates: images, givenSource: givenSource)
            check.run()
            if let server {
                check.report(
                    .dataElsewhere, server, "the session's data is on this server",
                    repair: "whether it is all there was not checked; the next use tells of files "
                        + "that are missing", severity: .note)
            }
            if let source, isCurrent != true {
                check.reportImage(source, isOther: named != nil)
            }
            self.check = check
        }

        var findings: [SessionFinding] { database.findings + (check?.findings ?? []) }

        /// A repair changes files of this machine only.
        func refuseServerData() throws(StateError) {
            guard let server, let check, !check.actions.isEmpty else { return }
            throw StateError(
                .shadowMismatch,
                "a repair would have to change data that is on the NFS server \(server), which it "
                    + "does not do: copy what can be read of the session's tree, and begin a new one"
            )
        }

        /// Whether a repair would change anything.
        var isRepairable: Bool {
            guard let check else { return false }
            return !database.findings.isEmpty || database.isSalvaged || !check.actions.isEmpty
                || check.records != database.records
        }
    }
}

extension RecordCheck {
    fileprivate mutating func reportImage(_ source: String, isOther: Bool) {
        if isOther {
            report(
                .imageOfAnotherEpoch, source,
                "the image's database is not the one that the session was made on, or an older copy",
                repair: "the next use finds the session's objects again by their paths",
                severity: .note)
        } else {
            report(
                .imageMissing, source, "the image's database is not here",
                repair: "the next use makes it again; until then less can be checked",
                severity: .note)
        }
    }
}
