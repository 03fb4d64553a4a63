import ArgumentParser
import Console
import Foundation
import Glibc
import NFSClient
import ROWCore
import ROWProxy
import Synchronization
import SystemPackage

struct Commit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the image with a session's changes out as a new image directory.",
        discussion: """
            The session may be in use: what is written is its state at the moment when this begins. \
            When it is cut off, the same command goes on where it was. Owners and devices need root.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "An empty directory, or one that is to be made.")
    var directory: String

    @Option(
        help: ArgumentHelp(
            "What the process that serves the image was given, when it is open to other machines.",
            valueName: "address/bits"))
    var allow: [AddressRange] = []

    @OptionGroup var main: MainOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        let stored = try StoredSession.read(try state.directory.existingSession(name))
        let target = FilePath(directory)
        let journal = try Journal.begin(in: target, session: name)
        if (try? state.directory.existingSession(journal.clone)) == nil {
            try state.directory.clone(name, from: nil, to: journal.clone)
        }
        var configuration = Proxy.Configuration(
            image: try image(of: stored), session: journal.clone, state: state.directory)
        configuration.isPassing = true
        main.apply(to: &configuration)
        configuration.durability = .relaxed
        configuration.allow = allow
        // Where the image is served already, by that process.
        let serving = try await Proxy.serve(configuration)
        let copy: TreeCopy
        do {
            copy = try await write(to: target, serving, journal)
        } catch {
            try? await stop(serving)
            throw error
        }
        try await stop(serving)
        try StoredSession.remove(state.directory.session(journal.clone))
        let (objects, bytes) = (copy.progress.objects, copy.progress.bytes)
        print("\(directory): \(objects) objects, \(byteText(Int(bytes))) copied")
    }

    /// The session's image, with all servers by which it was reached last.
    private func image(of stored: StoredSession) throws -> Proxy.Image {
        if ApplianceImage.isOne(stored.image) {
            return try ApplianceImage.known(stored.image, state.directory)
        }
        let last = LastServed.read(state.directory.image(stored.image))
        if let image = try? last?.servers.map({ try Proxy.Image.parse($0) }),
            image.canonicalName == stored.image
        {
            return image
        }
        return try .parse(stored.image)
    }

    private func stop(_ serving: Proxy.Serving) async throws {
        switch serving {
        case .host(let proxy): try await proxy.stop()
        case .guest(let membership): try await membership.leave()
        }
    }

    private func write(
        to target: FilePath, _ serving: Proxy.Serving, _ journal: Journal
    ) async throws -> TreeCopy {
        var options = NFSClient.Options()
        options.connection.reservedPort = .never
        let url = try NFSURL(serving.url(of: journal.clone))
        let client = try await NFSClient.connect(url, options: options)
        let complaints = Complaints(session: journal.clone, state: state.directory)
        let copy = TreeCopy(client, to: target) { complaints.waits() }
        let meter = ProgressMeter()
        let reporter = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(250))
                let progress = copy.progress
                meter.show(
                    ProgressState(
                        done: progress.bytes,
                        details: "\(progress.objects) objects, "
                            + "\(byteText(Int(progress.bytes))) copied"))
            }
        }
        let result: Result<Void, any Error>
        do {
            result = .success(try await copy.run { try journal.remove(from: target) })
        } catch {
            result = .failure(error)
        }
        reporter.cancel()
        _ = await reporter.result
        meter.end()
        await client.close()
        try result.get()
        return copy
    }
}

/// Says why there is nothing to copy: what main's servers answer, or do not.
private final class Complaints: Sendable {
    private let session: String
    private let state: StateDirectory
    private let said = Mutex<Set<String>>([])

    init(session: String, state: StateDirectory) {
        self.session = session
        self.state = state
    }

    /// The copy waits for main. Everything is said once.
    func waits() {
        guard let status = try? SessionStatus.read(session, in: state) else { return }
        for main in status.main {
            guard let error = main.lastError,
                said.withLock({ $0.insert("\(main.server) \(error)").inserted })
            else { continue }
            FileHandle.standardError.write(
                Data("rowctl: waiting for \(main.server): \(error)\n".utf8))
        }
    }
}

/// What a commit that is cut off needs to go on: a clone of the session as it was, which later changes
/// do not reach.
private struct Journal: Codable {
    let session: String
    let clone: String

    private static func path(_ target: FilePath) -> FilePath {
        target.appending(TreeCopy.ownPrefix)
    }

    /// Goes on with a commit of the session to this directory, or begins one.
    static func begin(in target: FilePath, session: String) throws -> Journal {
        let files = FileManager.default
        if let data = try? Data(contentsOf: URL(filePath: path(target).string)) {
            guard let journal = try? JSONDecoder().decode(Journal.self, from: data),
                journal.session == session
            else {
                throw StateError(
                    .exists,
                    "\(target) has a part of another session's commit; choose another directory")
            }
            return journal
        }
        try files.createDirectory(atPath: target.string, withIntermediateDirectories: true)
        guard try files.contentsOfDirectory(atPath: target.string).isEmpty else {
            throw StateError(.exists, "\(target) is not empty; choose another directory")
        }
        let journal = Journal(
            session: session, clone: "commit-\(UInt64.random(in: .min ... .max))")
        try JSONEncoder().encode(journal).write(
            to: URL(filePath: path(target).string), options: .atomic)
        return journal
    }

    func remove(from target: FilePath) throws {
        try FileManager.default.removeItem(atPath: Self.path(target).string)
    }
}
