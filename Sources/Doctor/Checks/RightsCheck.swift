import CLinux
import Glibc
import ROWProxy
import ROWSettings
import SystemPackage

/// Who may read and change what rowfs keeps.
enum RightsCheck {
    static func findings(_ plan: Plan) -> [Finding] {
        configuration(plan.configuration) + state(plan.state.path.string)
            + plan.images.flatMap(source)
    }

    private static let writable: UInt32 = 0o022

    private static func configuration(_ file: String?) -> [Finding] {
        guard let file, let fault = SettingsSource.fault(of: file) else { return [] }
        return [
            .problem(
                .configuration, file, fault.found,
                because: "others could have this machine serve, and write, anything",
                remedy: fault.remedy)
        ]
    }

    private static func source(_ image: Plan.Image) -> [Finding] {
        guard let path = image.directory else { return [] }
        let type = Paths.attributes(path)?.type
        if type == S_IFDIR, access(path, R_OK | X_OK) == 0 {
            return [.fine(.main, path, "the directory is there")]
        }
        let found =
            type == nil
            ? "there is no such directory"
            : type == S_IFDIR ? "this user may not read it" : "it is no directory"
        return [
            .problem(
                .main, path, found, because: "\(image.title) cannot be served",
                remedy: type == S_IFDIR
                    ? "run as a user that may: chown or chmod \(path)"
                    : "mkdir \(path), or change \(image.setting("source"))")
        ]
    }

    // MARK: The state directory

    private static func state(_ path: String) -> [Finding] {
        guard let status = Paths.attributes(path) else { return [missing(path)] }
        guard status.type == S_IFDIR else {
            return [
                .problem(
                    .state, path, "it is no directory", because: "nothing can be kept",
                    remedy: "mv \(path) \(path).old, or give another one with --state")
            ]
        }
        let found = owner(path, status) + mode(path, status) + above(path) + ofItsOwn(path)
        return found.isEmpty
            ? [.fine(.state, path, "only \(Paths.userName(status.uid)) may look into it")] : found
    }

    private static func missing(_ path: String) -> Finding {
        let above = Paths.nearestExisting(path)
        if access(above, W_OK | X_OK) == 0 {
            return .fine(.state, path, "it is made when something is served")
        }
        return .problem(
            .state, path, "there is none, and this user may not make it in \(above)",
            because: "nothing can be kept",
            remedy: "as root: install -d -m 700 -o \(Paths.userName(geteuid())) \(path)")
    }

    private static func owner(_ path: String, _ status: clinux_stat) -> [Finding] {
        guard geteuid() != 0, status.uid != geteuid() else { return [] }
        let owner = Paths.userName(status.uid)
        return [
            .problem(
                .state, path, "it belongs to \(owner)",
                because: "this user, \(Paths.userName(geteuid())), cannot keep anything there",
                remedy: "run as \(owner): runuser -u \(owner) -- rowctl ..., or as root: "
                    + "chown -R \(Paths.userName(geteuid())) \(path)")
        ]
    }

    private static func mode(_ path: String, _ status: clinux_stat) -> [Finding] {
        let remedy = "chmod 700 \(path)"
        let mode = octal(status.mode)
        if status.mode & writable != 0 {
            return [
                .problem(
                    .state, path, "others may write to it (mode \(mode))",
                    because: "they could replace what sessions and images are", remedy: remedy)
            ]
        }
        guard status.mode & 0o055 != 0 else { return [] }
        return [
            .warning(
                .state, path, "others may look into it (mode \(mode))",
                because: "which sessions, images and machines there are is nobody else's concern",
                remedy: remedy)
        ]
    }

    /// Whoever may write to a directory may put another one in the place of one that is in it.
    private static func above(_ path: String) -> [Finding] {
        Paths.ancestors(Paths.resolved(path) ?? path).dropFirst().compactMap { directory in
            guard let status = Paths.attributes(directory), status.mode & 0o002 != 0,
                status.mode & UInt32(S_ISVTX) == 0
            else { return nil }
            return .problem(
                .state, directory, "anybody may write to it (mode \(octal(status.mode)))",
                because: "they could put another directory in the place of \(path)",
                remedy: "chmod o-w \(directory)")
        }
    }

    /// Sockets and keys, each with what is in its own directory.
    private static func ofItsOwn(_ path: String) -> [Finding] {
        let images = FileNames.below("\(path)/images").map { "\($0)/control.sock" }
        let keys = FileNames.below("\(path)/catalogue/keys").filter { $0.hasSuffix(".key") }
        return keys.compactMap {
            open(
                $0, .keys, forbidden: 0o077,
                because: "whoever reads it can publish in this publisher's name")
        }
            + images.compactMap {
                open(
                    $0, .state, forbidden: writable,
                    because: "whoever may write to it can have sessions served and ended")
            }
    }

    private static func open(
        _ path: String, _ check: Finding.Check, forbidden: UInt32, because reason: String
    ) -> Finding? {
        guard let status = Paths.attributes(path), status.mode & forbidden != 0 else { return nil }
        return .problem(
            check, path, "others may use it (mode \(octal(status.mode)))", because: reason,
            remedy: "chmod 600 \(path)")
    }

    private static func octal(_ mode: UInt32) -> String { "0" + String(mode, radix: 8) }
}
