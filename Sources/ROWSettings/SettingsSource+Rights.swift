import Glibc

extension SettingsSource {
    /// Refuses a file that others may change: they could have this process serve, and write, anything.
    /// - Throws: ``SettingsError`` with what to do. A file that is not there is for others to complain of.
    public static func checkRights(of file: String) throws(SettingsError) {
        guard let fault = fault(of: file) else { return }
        throw SettingsError(
            problems: [
                SettingsError.Problem(
                    place: file,
                    message: "it is not used, since \(fault.found): \(fault.remedy)")
            ])
    }

    /// By what others may change a file, and the command that mends it.
    package static func fault(of file: String) -> (found: String, remedy: String)? {
        var status = stat()
        guard stat(file, &status) == 0 else { return nil }
        if status.st_uid != 0, status.st_uid != geteuid() {
            return (
                "it belongs to another user (\(status.st_uid))", "chown root \(file)"
            )
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o022 != 0 else { return nil }
        let mode = String(status.st_mode & 0o7777, radix: 8)
        return ("others may write to it (mode 0\(mode))", "chmod go-w \(file)")
    }
}
