import ArgumentParser
import Foundation
import Glibc
import ROWCore
import ROWProxy
import SystemPackage

struct MountVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Serve a session in the background and mount it on this machine.",
        discussion: """
            Uses this kernel's own NFS client and needs the right to mount. A session that exists is \
            continued; where a process serves the image already, the session is added to it. \
            `rowctl umount` takes both away again; what was changed stays in the session.
            """)

    @Argument(help: "nfs://host[:port]/export[?mountport=N], or a directory of this machine.")
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

    @OptionGroup var state: StateOption

    func run() throws {
        let options = try MountOptions(options)
        let source = try Proxy.Image.parse(image)
        let directory = try MountTable.absolute(mountpoint)
        let name = session ?? String(directory.split(separator: "/").last ?? "root")
        do {
            try StateLayout.check(sessionName: name)
        } catch {
            throw UsageError(description: "\(error); name the session with --session")
        }
        try KernelClient.check(alternative: "rowctl serve \(image) --session \(name)")
        if let there = try MountTable.entry(at: directory), there.type == "nfs" {
            throw UsageError(
                description: "\(there.source) is mounted on \(directory) already; 'rowctl umount "
                    + "\(directory)' takes it away")
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory),
            isDirectory.boolValue
        else {
            throw UsageError(description: "'\(mountpoint)' is not a directory to mount on")
        }
        let stateDirectory = try state.absolute
        let folder = stateDirectory.session(name)
        let isNew = (try? stateDirectory.existingSession(name)) == nil
        let started = try BackgroundServer.start(
            [
                "serve", source.argument, "--session", name, "--durability",
                durability.rawValue, "--state", stateDirectory.path.string,
            ], directory: folder)
        do {
            try BackgroundServer(started, mountPoint: directory).write(session: folder)
            try KernelClient.mount(started.place, on: directory, options: options)
        } catch {
            BackgroundServer.removeNote(session: folder)
            BackgroundServer.stop(started.processID)
            if isNew { try? StoredSession.remove(folder) }
            guard let code = error as? Errno else { throw error }
            throw StateError(
                .io, "mounting on \(directory) failed: \(code)\(Self.advice(on: code))")
        }
        print("mounted session \(name) on \(directory), served by process \(started.processID)")
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
        let directory = try MountTable.absolute(mountpoint)
        guard let entry = try MountTable.entry(at: directory), entry.type == "nfs",
            let name = entry.exportPath?.split(separator: "/").first
        else {
            throw StateError(
                .notFound, "no session is mounted on \(directory); 'rowctl ls' lists sessions")
        }
        guard geteuid() == 0 else {
            throw StateError(.io, "unmounting takes root: run this as root")
        }
        let folder = try state.absolute.session(String(name))
        let server = BackgroundServer.read(session: folder)
        let isOurs = server?.mountPoint == directory
        let isDead = isOurs && server?.isRunning == false
        do {
            try KernelClient.unmount(directory, force || isDead ? .forced : .plain)
        } catch .resourceBusy {
            throw StateError(
                .io, "\(directory) is in use: end the programs that have files or their working "
                    + "directory there (fuser -m \(directory)), or give --force")
        } catch {
            throw StateError(.io, "unmounting \(directory) failed: \(error)")
        }
        if isOurs, let server {
            if server.isRunning { BackgroundServer.stop(server.processID) }
            BackgroundServer.removeNote(session: folder)
        }
        print("unmounted session \(name) from \(directory)")
    }
}
