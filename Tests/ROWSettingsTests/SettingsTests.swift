import Console
import Logging
import NFSClient
import ROWProxy
import SystemPackage
import Testing

@testable import ROWSettings

/// What a file, variables and options say together.
@Suite struct SettingsTests {
    private static let text = """
        state: /srv/rowfs
        images:
          golden:
            source: [nfs://a/export, nfs://b/export]
            listen: 0.0.0.0:2049
            allow: [192.0.2.0/24, 198.51.100.7]
            cache-size: 20G
            sessions:
              lab1: {durability: relaxed}
              lab2:
          tools:
            source: /srv/tools
            sessions:
              tools: {read-only: yes}
        """

    private func source(
        _ text: String, options: [String] = [], variables: [String: String] = [:]
    ) -> SettingsSource {
        SettingsSource(
            SettingsFile(path: "f", text: text), options: options, variables: variables)
    }

    private func problems(
        _ text: String, options: [String] = [], variables: [String: String] = [:]
    ) -> [String] {
        do {
            _ = try Settings(source(text, options: options, variables: variables))
            return []
        } catch {
            return (error as? SettingsError)?.problems.map(\.description) ?? ["\(error)"]
        }
    }

    @Test func aFileNamesImagesAndSessions() throws {
        let settings = try Settings(source(Self.text))
        #expect(settings.state?.string == "/srv/rowfs")
        #expect(settings.sessions.map(\.name) == ["lab1", "lab2", "tools"])
        #expect(settings.sessions.map(\.image) == ["golden", "golden", "tools"])
        #expect(settings.sessions.first?.source == "nfs://a/export,nfs://b/export")
    }

    // MARK: TLS

    @Test func certificatesHoldForAllImages() throws {
        let text = """
            tls-cert: /etc/rowfs/main.pem
            tls-key: /etc/rowfs/main.key
            tls-ca: /etc/rowfs/ca.pem
            images:
              golden:
                source: nfs://a/export?xprtsec=mtls
                require-tls: yes
                sessions: {lab1: }
              tools:
                source: /srv/tools
                sessions: {tools: }
            """
        let sessions = try Settings(source(text)).sessions
        var configurations: [Proxy.Configuration] = []
        for session in sessions {
            var configuration = Proxy.Configuration(
                image: .directory("/"), session: session.name, state: .standard)
            session.apply(to: &configuration)
            configurations.append(configuration)
        }
        let files = TLSFiles(
            certificate: "/etc/rowfs/main.pem", key: "/etc/rowfs/main.key",
            authorities: "/etc/rowfs/ca.pem")
        #expect(configurations.map(\.tls) == [files, files])
        #expect(configurations.map(\.requiresTLS) == [true, false])
        // Other certificates, and it is served anew.
        let other = try Settings(source(text.replacing("main.key", with: "other.key")))
        #expect(other.sessions.first != sessions.first)
        let without = problems(text.replacing("tls-key: /etc/rowfs/main.key", with: ""))
        #expect(without.contains { $0.contains("--tls-key") }, "\(without)")
        let relative = problems(text.replacing("/etc/rowfs/ca.pem", with: "ca.pem"))
        #expect(relative.contains { $0.contains("'tls-ca' is 'ca.pem'") }, "\(relative)")
    }

    // MARK: Who comes first

    private func said(_ key: String, _ source: SettingsSource) -> String? {
        source.all.first { "\($0.key)" == key }.map {
            "\($0.texts?.joined(separator: ",") ?? "-") by \($0.place)"
        }
    }

    @Test func optionsComeBeforeVariablesBeforeTheFileBeforeWhatHoldsOtherwise() {
        let key = "images.golden.cache-size"
        let variables = ["ROWFS_IMAGES_GOLDEN_CACHE_SIZE": "30G"]
        let options = ["\(key)=1G", "\(key)=40G"]
        #expect(said(key, source(Self.text)) == "20G by f:7")
        #expect(
            said(key, source(Self.text, variables: variables))
                == "30G by ROWFS_IMAGES_GOLDEN_CACHE_SIZE")
        #expect(
            said(key, source(Self.text, options: options, variables: variables)) == "40G by --set")
        #expect(said("images.tools.cache-size", source(Self.text)) == "- by default")
    }

    @Test func listsHaveCommasOutsideTheFile() {
        let key = "images.golden.allow"
        let variables = ["ROWFS_IMAGES_GOLDEN_ALLOW": "192.0.2.1,192.0.2.2"]
        #expect(
            said(key, source(Self.text, variables: variables))
                == "192.0.2.1,192.0.2.2 by ROWFS_IMAGES_GOLDEN_ALLOW")
        #expect(problems(Self.text, variables: variables) == [])
        #expect(problems(Self.text, options: ["\(key)=192.0.2.1,192.0.2.2"]) == [])
    }

    @Test func sessionsThatAreServedAlikeAreEqual() throws {
        let one = try Settings(source(Self.text)).sessions
        let other = try Settings(source(Self.text.replacing("20G", with: "21G"))).sessions
        #expect(one == (try Settings(source("# Other lines.\n\n" + Self.text)).sessions))
        #expect(one[0] != other[0] && one[1] != other[1])
        #expect(one[2] == other[2])
        // One session that is strict makes what is kept of the image so, for the others too.
        let relaxed = Self.text.replacing("lab2:", with: "lab2: {durability: relaxed}")
        #expect(try Settings(source(relaxed)).sessions[0] != one[0])
    }

    // MARK: What is wrong

    @Test func unknownNamesAreToldWithTheirLineAndWhatWasLikelyMeant() throws {
        let text = """
            imags: {}
            images:
              a:
                source: /x
                cach-size: 1G
                sessions:
                  s:
                    durabilty: strict
                    quux: 1
            """
        let found = problems(text)
        try #require(found.count == 4)
        #expect(found[0] == "f:1: there is no setting 'imags': did you mean 'images'?")
        #expect(
            found[1]
                == "f:5: there is no setting 'images.a.cach-size': did you mean 'cache-size'?")
        #expect(found[2].hasPrefix("f:8: ") && found[2].hasSuffix("did you mean 'durability'?"))
        #expect(found[3].hasPrefix("f:9: ") && found[3].contains("there are: durability, "))
    }

    @Test(arguments: [
        ("listen", "2049x", "ADDRESS:PORT"), ("allow", "192.0.2.1/24", "ADDRESS/BITS"),
        ("root", "maybe", "keep or squash"), ("manage-gids", "perhaps", "yes or no"),
        ("cache-size", "10Q", "a size such as"), ("main-timeout", "0", "seconds from"),
        ("source", "relative/path", "one path from the root"),
        ("source", "[/a, /b]", "one path from the root"), ("source", "ngs://h/e", "export"),
        ("source", "nfs://h", "export"), ("source", "[nfs://h/e, nfs://h/e]", "given twice"),
        ("source", "[/a, nfs://h/e]", "export"), ("portmap", "x:y:z", "ADDRESS:PORT"),
    ])
    func badValuesAreToldWithWhatIsExpected(name: String, text: String, expected: String) {
        let source = name == "source" ? "" : "    source: /x\n"
        let file = "images:\n  a:\n\(source)    \(name): \(text)\n    sessions: {s: }\n"
        let found = problems(file)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("f:\(name == "source" ? 3 : 4): 'images.a.\(name)'") == true)
        #expect(found.first?.contains(expected) == true)
    }

    @Test func badValuesOfVariablesAndOptionsAreToldByThem() {
        let key = "images.golden.cache-size"
        let variables = ["ROWFS_IMAGES_GOLDEN_CACHE_SIZE": "lots"]
        #expect(
            problems(Self.text, variables: variables).first?.hasPrefix(
                "ROWFS_IMAGES_GOLDEN_CACHE_SIZE: '\(key)' is 'lots'") == true)
        #expect(
            problems(Self.text, options: ["\(key)=lots"]).first?.hasPrefix("--set: '\(key)'")
                == true)
        #expect(
            problems(Self.text, options: ["images.golden.cash-size=1G"]).first?.hasSuffix(
                "did you mean '\(key)'?") == true)
        #expect(
            problems(Self.text, options: ["nonsense"]) == ["--set nonsense: KEY=VALUE is expected"])
        let unknown = problems(Self.text, variables: ["ROWFS_IMAGES_GOLDEN_CASH_SIZE": "1G"])
        #expect(unknown.count == 1)
        #expect(unknown.first?.contains("'ROWFS_IMAGES_GOLDEN_CACHE_SIZE'?") == true)
        // Others have meanings of their own.
        #expect(problems(Self.text, variables: ["ROWFS_CATALOGUE": "x"]) == [])
    }

    @Test func whatCannotBeMeantTogetherIsTold() throws {
        let open = problems(
            "images:\n  a:\n    source: /x\n    listen: 0.0.0.0:2049\n    sessions: {s: }\n")
        try #require(open.count == 1)
        #expect(open[0].hasPrefix("f:5: images.a.sessions.s: listening on 0.0.0.0 lets other"))
        let name = problems("images:\n  a:\n    source: /x\n    sessions: {a/b: }\n")
        #expect(name.count == 1 && name[0].hasPrefix("f:4: images.a.sessions."))
        let both = problems(
            "images:\n  a: {source: /x, register: yes, portmap: 111, sessions: {s: }}\n")
        #expect(both.count == 1 && both[0].contains("give one of them"))
    }

    @Test func whatIsMissingOrTwiceIsTold() {
        #expect(problems("") == ["f: images: no image is named, so nothing would be served"])
        #expect(problems("# nothing\n").count == 1)
        let noSource = problems("images:\n  a:\n    sessions: {s: }\n")
        #expect(noSource.count == 1 && noSource[0].hasPrefix("f:2: images.a: it has no 'source'"))
        let noSession = problems("images:\n  a:\n    source: /x\n")
        #expect(noSession.count == 1 && noSession[0].hasPrefix("f:2: images.a: it has no session"))
        let twice = problems(
            "images:\n  a: {source: /x, sessions: {s: }}\n  b: {source: /y, sessions: {s: }}\n")
        #expect(twice.count == 1 && twice[0].hasPrefix("f:3: images.b.sessions.s: "))
        let key = problems("state: /a\nstate: /b\n")
        #expect(key.count == 1 && key[0].contains("state is set more than once"))
    }

    @Test(arguments: [
        "images: [1, 2]", "images: 5", "- a", "images:\n  a: x", "images:\n  a:\n    sessions: []",
        "images:\n  a:\n    source: {b: c}", "state:", "state: [a]", "{", "a: b: c", "\t", "%",
        "images:\n  a.b: {source: /x, sessions: {s: }}", "? [a]\n: b", "&a [*a]", "x: !!binary |",
    ])
    func whatIsNoFileOfSettingsIsRefused(text: String) {
        let found = problems(text)
        #expect(!found.isEmpty)
        for one in found { #expect(one.hasPrefix("f")) }
    }

    @Test func whatCannotBeReadIsTold() {
        #expect(throws: SettingsError.self) { try SettingsSource(file: "/nowhere/rowfs.yaml") }
        #expect(throws: SettingsError.self) { try SettingsSource(file: "/") }
        #expect(throws: SettingsError.self) { try SettingsSource(file: "/bin/sh") }
    }

    // MARK: What only one image can have

    private static func twoImages(_ first: String, _ second: String) -> String {
        """
        images:
          a:
            source: /srv/a
            \(first)
            sessions: {one: }
          b:
            source: /srv/b
            \(second)
            sessions: {two: }
        """
    }

    @Test func imagesThatWantOnePortAreFound() {
        let other = "the image 'a' listens on"
        let hint = "too: choose another port"
        #expect(
            problems(Self.twoImages("listen: 127.0.0.1:2049", "listen: 2049"))
                == ["f:8: 'images.b.listen': \(other) 2049 \(hint)"])
        let open = "listen: 0.0.0.0:2049\n    allow: [192.0.2.1]"
        #expect(
            problems(Self.twoImages("listen: 127.0.0.1:2049", open))
                == ["f:8: 'images.b.listen': \(other) 0.0.0.0:2049 \(hint)"])
        #expect(
            problems(Self.twoImages("listen: 127.0.0.1:111", "portmap: 127.0.0.1:111"))
                == ["f:8: 'images.b.portmap': \(other) 127.0.0.1:111 \(hint)"])
        for (first, second) in [
            ("listen: 127.0.0.1:2049", "listen: 127.0.0.1:2050"),
            ("listen: 127.0.0.1:0", "listen: 127.0.0.1:0"),
            ("listen: 127.0.0.1:2049", "listen: 127.0.0.2:2049"),
        ] { #expect(problems(Self.twoImages(first, second)) == []) }
        #expect(
            problems("http: 2049\n" + Self.twoImages("listen: 127.0.0.1:2049", ""))
                == ["f:5: 'images.a.listen': the status page listens on 127.0.0.1:2049 \(hint)"])
    }

    @Test func imagesThatHaveOneSourceAreFound() {
        let text = Self.twoImages("", "")
        let expected = [
            "f:7: 'images.b.source': the image 'a' has this source too: put the sessions of both under one image"
        ]
        #expect(problems(text.replacing("/srv/b", with: "/srv/x/../a/")) == expected)
        let servers = text.replacing("/srv/a", with: "[nfs://one/x, nfs://two/x]")
        #expect(problems(servers.replacing("/srv/b", with: "nfs://one/x")) == expected)
        #expect(problems(servers.replacing("/srv/b", with: "nfs://three/x")) == [])
    }

    // MARK: Names with dots

    @Test func namesOfSessionsMayHaveDots() throws {
        let text = "images:\n  a:\n    source: /x\n    sessions:\n      web.example: {record: /r}\n"
        let key = "images.a.sessions.web.example.record"
        #expect(try Settings(source(text)).sessions.map(\.name) == ["web.example"])
        #expect(said(key, source(text)) == "/r by f:5")
        #expect(said(key, source(text, options: ["\(key)=/s"])) == "/s by --set")
        let variable = "ROWFS_IMAGES_A_SESSIONS_WEB_EXAMPLE_RECORD"
        #expect(said(key, source(text, variables: [variable: "/v"])) == "/v by \(variable)")
        // One variable for two.
        let two = text + "      web-example:\n"
        #expect(problems(two) == [])
        #expect(
            problems(two, variables: [variable: "/v"]).first?.hasPrefix(
                "\(variable): it would set more than one thing") == true)
        #expect(
            problems("images:\n  a.b:\n    source: /x\n    sessions: {s: }\n").first
                == "f:2: the name of a image is expected here, without dots")
    }

    // MARK: Messages

    @Test func howMessagesAreWrittenIsSaidForTheWholeProcess() throws {
        let text = "log-format: json\nlog-level: debug\n" + Self.text
        let settings = try Settings(source(text, variables: ["ROWFS_LOG_LEVEL": "error"]))
        #expect(settings.logFormat == .json && settings.logLevel == .error)
        #expect(try Settings(source(Self.text)).logFormat == nil)
        #expect(
            problems("log-format: xml\nlog-level: loud\n" + Self.text) == [
                "f:1: 'log-format' is 'xml', and must be text or json",
                "f:2: 'log-level' is 'loud', and must be debug, info, notice, warning, error",
            ])
    }
}
