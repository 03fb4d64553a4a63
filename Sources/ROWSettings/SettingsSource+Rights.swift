import Glibc

extension SettingsSource {
    /// Refuses a file that others may change: they could have this process serve, and write, anything.
    /// - Throws: ``SettingsError`` with what to do. A file that is not there is for others to complain of.
    public static func checkRights(of file: String) throws(SettingsError) {
        var status = stat()
        guard stat(file, &status) == 0 else { return }
        let others: String?
        if status.st_uid != 0, status.st_uid != geteuid() {
            others = "it belongs to another user (\(status.st_uid)): chown root \(file)"
        } else if status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o022 != 0 {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            others = "others may write to it (mode 0\(mode)): chmod go-w \(file)"
        } else {
            others = nil
        }
        guard let others else { return }
        throw SettingsError(
            problems: [
                SettingsError.Problem(place: file, message: "it is not used, since \(others)")
            ])
    }
}
