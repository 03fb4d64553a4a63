import Foundation
import ROWProxy
import Testing

@testable import Console

/// What a session does, as the lines of a screen.
@Suite struct SessionScreenTests {
    /// - Parameter calls: of clients so far; bytes are a thousand times as many.
    private func look(
        _ time: Double, calls: Int = 0, hit: Int = 0, servers: Int = 1, events: Int = 2,
        path: String = "/var/log/x"
    ) throws -> SessionScreen.Look {
        let main = (0..<servers).map {
            #"{"server": "host\#($0)", "state": "\#($0 == 0 ? "connected" : "refused")", "active": \#($0 == 0)}"#
        }
        let happened = (0..<events).map { #"{"time": \#($0), "message": "event \#($0)"}"# }
        let name = String(decoding: try JSONEncoder().encode(path), as: UTF8.self)
        let json = """
            {"session": "alice", "image": "nfs://host/export", "state": "running",
            "durability": "strict", "uptime_seconds": 3725,
            "calls": {"client": {"READ": \(calls)}, "main": {}, "shadow": {}},
            "bytes": {"from_main": \(calls * 1000), "to_client": \(calls * 1000),
            "from_client": 0, "shadow_stored": 4096, "cache_hit": \(hit)},
            "changed": {"files": 1, "blocks": 1}, "handles": 3, "main": [\(main.joined(separator: ","))],
            "cache": {"limit": 1024, "used": 512, "files": 1, "filled_blocks": 1, "evicted_blocks": 0,
            "damaged": 0},
            "largest": [{"path": \(name), "stored_bytes": 4096}],
            "events": [\(happened.joined(separator: ","))]}
            """
        let status = try JSONDecoder().decode(SessionStatus.self, from: Data(json.utf8))
        return SessionScreen.Look(time: time, status: status)
    }

    private func lines(
        _ looks: [SessionScreen.Look], rows: Int = 40, columns: Int = 80, isUnicode: Bool = true
    ) -> [String] {
        SessionScreen.lines(
            looks, TerminalSize(rows: rows, columns: columns), isUnicode: isUnicode
        ).map(\.text)
    }

    @Test func ratesAreThoseBetweenTheLastTwoLooks() throws {
        let looks = try [look(0), look(2, calls: 100), look(4, calls: 300, hit: 600_000)]
        let shown = lines(looks)
        #expect(shown[0] == "alice  running, strict, for 1 h 2 min; q quits")
        #expect(shown.contains { $0.hasPrefix("calls                  100/s") }, "\(shown)")
        #expect(
            shown.contains { $0.hasPrefix("from main") && $0.contains("97.7 KiB/s") }, "\(shown)")
        #expect(shown.contains { $0.hasPrefix("cache hits              75 %") }, "\(shown)")
        #expect(shown.contains { $0.hasPrefix("calls") && $0.hasSuffix("▅█") }, "\(shown)")
        #expect(shown.contains { $0.hasPrefix("cache ") && $0.contains("[##########----------]") })
    }

    @Test func aProcessThatBeganAnewHasNoNegativeRates() throws {
        let shown = try lines([look(0, calls: 100), look(1, calls: 10)])
        #expect(shown.contains { $0.hasPrefix("calls                    0/s") }, "\(shown)")
    }

    @Test func theFirstLookHasNoRates() throws {
        #expect(try lines([look(0)]).contains { $0.hasPrefix("calls                      -") })
        #expect(lines([]).isEmpty)
    }

    @Test func itFitsWhateverTheSize() throws {
        let looks = try [look(0), look(1, calls: 7, servers: 30, events: 100)]
        for rows in [0, 1, 5, 12, 15, 24, 60, 200] {
            for columns in [0, 1, 10, 33, 80, 200] {
                let shown = lines(looks, rows: rows, columns: columns)
                #expect(shown.count <= rows)
                #expect(shown.allSatisfy { $0.columns <= columns })
            }
        }
        // All sections have their part.
        let shown = lines(looks, rows: 24)
        for title in ["SERVERS", "STORED", "EVENTS"] { #expect(shown.contains(title)) }
        #expect(shown.count == 24)
        // The latest event first.
        #expect(shown.first { $0.contains("event ") }?.hasSuffix("event 99") == true)
    }

    @Test func wideCharactersCountAsTwoColumns() throws {
        let shown = try lines([look(0, path: String(repeating: "字", count: 100))], columns: 40)
        let file = try #require(shown.first { $0.contains("字") })
        #expect(file.filter { $0 == "字" }.count == 13)
    }

    @Test func namesThatClientsChooseDoNothing() throws {
        let hostile = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{9b}1m\u{202e}"
        let looks = try [look(0, path: hostile)]
        let lines = SessionScreen.lines(
            looks, TerminalSize(rows: 40, columns: 200), isUnicode: true)
        for line in lines {
            #expect(!line.text.unicodeScalars.contains { $0.isUnfitToShow })
            let rendered = line.rendered(hasColors: true).replacing(/\u{1b}\[\d*m/, with: "")
            #expect(rendered == line.text)
        }
        #expect(lines.contains { $0.text.contains(#"\u{1B}[2J"#) })
    }

    @Test func withoutUnicodeAndColorsItIsPlain() throws {
        let looks = try [look(0), look(1, calls: 5), look(2, calls: 50)]
        let lines = SessionScreen.lines(
            looks, TerminalSize(rows: 24, columns: 80), isUnicode: false)
        for line in lines {
            #expect(line.rendered(hasColors: false).utf8.allSatisfy { (0x20..<0x7f).contains($0) })
        }
    }

    @Test func variablesSayWhatATerminalCanDo() {
        #expect(!TerminalAbilities([:]).hasCursor)
        #expect(!TerminalAbilities(["TERM": "dumb"]).hasCursor)
        let plain = TerminalAbilities(["TERM": "xterm", "NO_COLOR": "1", "LANG": "C"])
        #expect(plain.hasCursor && !plain.hasColors && !plain.hasUnicode)
        let full = TerminalAbilities(["TERM": "xterm", "NO_COLOR": "", "LANG": "de_DE.UTF-8"])
        #expect(full.hasCursor && full.hasColors && full.hasUnicode)
        #expect(!TerminalAbilities(["LC_ALL": "C", "LANG": "de_DE.UTF-8", "TERM": "x"]).hasUnicode)
    }
}
