import ArgumentParser
import Catalogue
import Foundation
import Glibc
import NFSClient
import ROWCore
import ROWProxy
import SystemPackage

struct MountVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Serve a session in the background and mount it on this machine.",
        discussion: """
            Uses this kernel's own NFS client and needs the right to mount. A session that exists is \
            continued; where a process serves the image already, the session is added to it. \
            `rowctl umount` takes both away again; what was changed stays in the session.
            """)

    @Argument(help: MainOptions.imageHelp)
    var image: String

    @Argument(help: "The directory to mount on.")
    var mountpoint: String

    @Option(
        help: ArgumentHelp(
            "The session's name; it is made when there is none. (default: the name of the "
                + "directory to mount on)"))
    var session: String?

    @Option(
        name: .customShort("o"),
        help: ArgumentHelp(
            "Mount options, such as ro,nosuid,rsize=65536; see nfs(5).", valueName: "options"))
    var options: String?

    @Option(
        help: ArgumentHelp(
            "What acknowledged changes survive.",
            discussion: "strict: a power failure; relaxed: the end of the process."))
    var durability = Proxy.Durability.strict

    @OptionGroup var main: MainOptions

    @OptionGroup var shadow: ShadowOption

    @OptionGroup var cache: CacheOption

    @OptionGroup var profiles: ProfileOptions

    @OptionGroup var catalogue: CatalogueOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        let options = try MountOptions(options)
        let source =
            ApplianceImage.isOne(image)
            ? try ApplianceReference(parsing: image).description
            : try Proxy.Image.parse(image).argument
        let shadow = try shadow.parsed
        var directory = try MountTable.absolute(mountpoint)
        let name = session ?? String(directory.split(separator: "/").last ?? "root")
        do {
            try StateLayout.check(sessionName: name)
        } catch {
            throw UsageError(description: "\(error); name the session with --session")
        }
        try KernelClient.check(alternative: "rowctl serve \(image) --session \(name)")
        directory = try unused(directory)
        let stateDirectory = try state.absolute
        try stateDirectory.layout.checkRights()
        let folder = stateDirectory.session(name)
        let isNew = (try? stateDirectory.existingSession(name)) == nil
        do {
            let started = try BackgroundServer.start(
                [
                    "serve", source, "--session", name, "--durability",
                    durability.rawValue, "--state", stateDirectory.path.string,
                ] + cache.arguments + main.arguments + (try catalogue.arguments)
                    + (shadow.map { ["--shadow", $0.description] } ?? [])
                    + (profiles.recordPath.map { ["--record", $0] } ?? [])
                    + (profiles.profilePath.map { ["--profile", $0] } ?? []),
                session: folder, mountPoint: directory)
            do throws(Errno) {
                try KernelClient.mount(started.place, on: directory, options: options)
            } catch {
                try started.server.stop(session: folder)
                throw StateError(
                    .io, "mounting on \(directory) failed: \(error)\(Self.advice(on: error))")
            }
            print(
                "mounted session \(name) on \(directory), served by process "
                    + "\(started.server.processID)")
        } catch {
            // Nothing is in a session that was never mounted.
            if isNew {
                let shadow = try? StoredSession.read(folder).shadow
                try? await StoredSession.remove(folder) {
                    try await shadow?.remove(tls: main.tls.files)
                }
            }
            throw error
        }
    }

    /// The directory as the kernel's table will have it.
    private func unused(_ directory: String) throws -> String {
        func check(_ path: String) throws {
            guard let there = try MountTable.entry(at: path), there.type == "nfs" else { return }
            throw UsageError(
                description: "\(there.source) is mounted on \(path) already; 'rowctl umount "
                    + "\(path)' takes it away")
        }
        try check(directory)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory),
            isDirectory.boolValue, let resolved = realpath(directory, nil)
        else {
            throw UsageError(description: "'\(mountpoint)' is not a directory to mount on")
        }
        defer { free(resolved) }
        let path = String(cString: resolved)
        try check(path)
        return path
    }

    private static func advice(on code: Errno) -> String {
        switch code {
        case .invalidArgument: "; check -o, the kernel's log (dmesg) names what it does not know"
        case .notPermitted, .permissionDenied: "; mounting takes root"
        default: ""
        }
    }
}

struct Unmount: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount",
        abstract: "Unmount a session and stop the process that 'mount' started for it.",
        discussion: """
            Works when the proxy is dead, too: what still waits for it then fails, and the mount \
            goes. What was changed stays in the session, for the next 'mount' or 'serve'.
            """)

    @Argument(help: "The directory that the session is mounted on.")
    var mountpoint: String

    @Flag(help: "Unmount although programs still use it; their calls fail.")
    var force = false

    @OptionGroup var state: StateOption

    func run() throws {
        var directory = try MountTable.absolute(mountpoint)
        var entry = try MountTable.entry(at: directory)
        if entry == nil, let resolved = realpath(directory, nil) {
            // Nothing is mounted at this name, so it may be looked at: it may be a link to one.
            directory = String(cString: resolved)
            free(resolved)
            entry = try MountTable.entry(at: directory)
        }
        guard let entry, entry.type == "nfs",
            let name = entry.exportPath?.split(separator: "/").first
        else {
            throw StateError(
                .notFound, "no session is mounted on \(directory); 'rowctl ls' lists sessions")
        }
        guard geteuid() == 0 else {
            throw StateError(.io, "unmounting takes root: run this as root")
        }
        let folder = try state.absolute.session(String(name))
        let server = BackgroundServer.read(session: folder).flatMap {
            $0.mountPoint == directory ? $0 : nil
        }
        let isDead = server?.isRunning == false
        do {
            try KernelClient.unmount(directory, force || isDead ? .forced : .plain)
        } catch .resourceBusy {
            throw StateError(
                .io,
                "\(directory) is in use: end the programs that have files or their working "
                    + "directory there (fuser -m \(directory)), or give --force")
        } catch {
            throw StateError(.io, "unmounting \(directory) failed: \(error)")
        }
        if let server {
            try server.stop(session: folder)
            print("unmounted session \(name) from \(directory)")
        } else {
            print(
                "unmounted session \(name) from \(directory); whoever serves it goes on, for no "
                    + "'rowctl mount' is on record in \(try state.absolute.path) (--state)")
        }
    }
}
