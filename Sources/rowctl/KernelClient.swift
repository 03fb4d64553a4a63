import Foundation
import Glibc
import SystemPackage

/// This machine's own NFS client, by mount(2): no helper program is needed.
enum KernelClient {
    /// Why nothing can be mounted here: what, and what to do instead.
    struct Unable: Error, CustomStringConvertible {
        let description: String
    }

    /// Finds out before anything is started.
    /// - Parameter alternative: the command that serves the session without mounting it.
    static func check(alternative: String) throws {
        guard mayMount else {
            throw Unable(
                description: "this user may not mount (that takes root, or CAP_SYS_ADMIN): run "
                    + "this as root, or run '\(alternative)' and have root run the mount command "
                    + "that it prints")
        }
        guard hasClient else {
            throw Unable(
                description: "this kernel has no NFS client ('nfs' is not in /proc/filesystems, "
                    + "and modprobe does not bring it): run '\(alternative) --listen ADDRESS:PORT "
                    + "--allow CLIENT' and mount on a machine that has one, or use the session "
                    + "from programs with libnfs (nfs-ls, nfs-cp)")
        }
    }

    private static var mayMount: Bool {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let digits = line?.dropFirst("CapEff:".count).trimmingCharacters(in: .whitespaces)
        let capabilities = digits.flatMap { UInt64($0, radix: 16) } ?? 0
        let systemAdministration: UInt64 = 1 << 21
        return capabilities & systemAdministration != 0
    }

    private static var hasClient: Bool {
        if isRegistered { return true }
        for program in ["/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"]
        where access(program, X_OK) == 0 {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = ["-q", "nfsv3"]
            process.standardError = FileHandle.nullDevice
            try? process.run()
            process.waitUntilExit()
            return isRegistered
        }
        return false
    }

    private static var isRegistered: Bool {
        let text = (try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").contains { $0.split(separator: "\t").last == "nfs" }
    }

    /// Mounts a session.
    /// - Parameter options: what `-o` gave, over the defaults.
    static func mount(
        _ place: MountPlace, on directory: String, options: MountOptions
    ) throws(Errno) {
        let settings =
            [
                "vers=3", "proto=\(place.transport)", "mountproto=\(place.transport)", "nolock",
                "port=\(place.port)",
                "mountport=\(place.port)", "addr=\(place.host)", "mountaddr=\(place.host)",
            ] + options.settings
        let source =
            "\(place.host.contains(":") ? "[\(place.host)]" : place.host):/\(place.session)"
        let code = settings.joined(separator: ",").withCString { data in
            Glibc.mount(source, directory, "nfs", options.flags, data)
        }
        guard code == 0 else { throw Errno(rawValue: errno) }
    }

    enum Unmounting {
        case plain
        /// Ends what waits for a server that is gone, and takes the mount away as soon as it can be.
        case forced
    }

    static func unmount(_ directory: String, _ how: Unmounting) throws(Errno) {
        let noFollow: Int32 = 8
        if how == .forced {
            let force: Int32 = 1
            let detach: Int32 = 2
            if umount2(directory, force | noFollow) == 0 { return }
            guard umount2(directory, detach | noFollow) == 0 else { throw Errno(rawValue: errno) }
            return
        }
        guard umount2(directory, noFollow) == 0 else { throw Errno(rawValue: errno) }
    }
}

/// Where a session is served.
struct MountPlace {
    /// As a number.
    let host: String
    let port: Int
    let session: String

    var transport: String { host.contains(":") ? "tcp6" : "tcp" }

    /// From `mount -t nfs -o …,port=P,… HOST:/SESSION DIR`.
    init?(mountCommand: Substring) {
        let words = mountCommand.split(separator: " ")
        guard let flag = words.firstIndex(of: "-o"), flag + 2 < words.count,
            let port = words[flag + 1].split(separator: ",").first(where: { $0.hasPrefix("port=") }
            ),
            let number = Int(port.dropFirst("port=".count)),
            let colon = words[flag + 2].range(of: ":/", options: .backwards)
        else { return nil }
        let address = words[flag + 2][..<colon.lowerBound]
        host = address.hasPrefix("[") ? String(address.dropFirst().dropLast()) : String(address)
        self.port = number
        session = String(words[flag + 2][colon.upperBound...])
    }
}

/// The words of `-o`: those that mount(2) takes as flags, and those that the NFS client reads.
struct MountOptions {
    private(set) var flags: UInt = 0
    private(set) var settings: [String] = []

    private static let flagWords: [String: (set: UInt, clear: UInt)] = [
        "ro": (1, 0), "rw": (0, 1), "nosuid": (2, 0), "suid": (0, 2), "nodev": (4, 0),
        "dev": (0, 4), "noexec": (8, 0), "exec": (0, 8), "sync": (16, 0), "async": (0, 16),
        "dirsync": (128, 0), "noatime": (1024, 0), "atime": (0, 1024), "nodiratime": (2048, 0),
        "relatime": (1 << 21, 0), "defaults": (0, 0),
    ]
    /// What the proxy decides.
    private static let ours: Set<String> = [
        "vers", "nfsvers", "proto", "port", "mountport", "mountproto", "addr", "mountaddr", "udp",
        "lock",
    ]

    init(_ words: String?) throws {
        for word in (words ?? "").split(separator: ",").map(String.init) {
            if let flag = Self.flagWords[word] {
                flags = flags & ~flag.clear | flag.set
                continue
            }
            let name = word.prefix { $0 != "=" }
            guard !Self.ours.contains(String(name)) else {
                throw UsageError(
                    description: "-o \(word): rowctl sets '\(name)' itself; leave it out")
            }
            settings.append(word)
        }
    }
}
