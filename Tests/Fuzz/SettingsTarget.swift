import Foundation

@testable import ROWSettings

/// A file of settings: what is wrong with it is told, with a place.
final class SettingsTarget: FuzzTarget {
    func seeds() -> [[UInt8]] {
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
            // The largest that there is.
            "images: {a: {source: /s, cache-size: 8388607T, sessions: {b: }}}",
            "? [a, {b: c}]\n: &x 1\n---\n- *x\n", "a: !!binary aGk=\nb: |\n  text\nc: >-\n  more\n",
        ].map { Array($0.utf8) }
    }

    func take(_ bytes: [UInt8]) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return }
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
