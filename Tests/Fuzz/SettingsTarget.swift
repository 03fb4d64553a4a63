import Foundation
import NFSClient
import ROWProxy

@testable import ROWSettings

/// A file of settings: what is wrong with it is told, with a place. And what is said in it, alone: what is
/// understood means the same when it is written again.
final class SettingsTarget: FuzzTarget {
    func seeds() -> [[UInt8]] {
        let values = [
            // The largest that there is.
            "8388607T", "512M", "0.0.0.0:2049", "[::1]:111", "2049", "192.0.2.0/24",
            "2001:db8::/32",
            "nfs://[2001:db8::1]:2049/a%20b?mountport=20490",
        ]
        return files.map { [0] + Array($0.utf8) } + values.map { [1] + Array($0.utf8) }
    }

    private var files: [String] {
        [
            """
            state: /var/lib/rowfs
            images:
              golden:
                source: [nfs://one.example.net/export, nfs://two.example.net/export]
                listen: 0.0.0.0:2049
                allow: [192.0.2.0/24, "2001:db8::/32"]
                root: squash
                manage-gids: yes
                portmap: 127.0.0.1:111
                cache-size: 20G
                main-timeout: 2.5
                sessions:
                  lab1:
                  lab2: {durability: relaxed, read-only: on, profile: /p}
            """,
            "images: {a: {source: /srv, sessions: {b: {shadow: nfs://h/e, record: /r}}}}",
            "? [a, {b: c}]\n: &x 1\n---\n- *x\n", "a: !!binary aGk=\nb: |\n  text\nc: >-\n  more\n",
        ]
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let isValue = input.byte() % 2 == 1
        guard let text = String(validating: input.all(), as: UTF8.self) else { return }
        if isValue {
            takeValue(text, ByteSize.self)
            takeValue(text, ListenAddress.self)
            takeValue(text, AddressRange.self)
            takeValue(text, NFSURL.self)
        } else {
            takeFile(text)
        }
    }

    private func takeValue<Value: SettingValue & Equatable & CustomStringConvertible>(
        _ text: String, _: Value.Type
    ) {
        guard let value = Value(text: text) else { return }
        must(
            Value(text: "\(value)") == value,
            "'\(text)' is read as \(value), which is read otherwise")
    }

    private func takeFile(_ text: String) {
        do {
            let source = SettingsSource(
                SettingsFile(path: "file", text: text),
                options: text.split(separator: "\n").prefix(2).map(String.init),
                variables: ["ROWFS_IMAGES_A_SOURCE": String(text.prefix(40))])
            let settings = try Settings(source)
            must(!settings.sessions.isEmpty, "settings by which nothing is served")
        } catch let error as SettingsError {
            must(!error.problems.isEmpty, "an error that says nothing")
        } catch {
            must(false, "an error without a place: \(error)")
        }
    }
}
