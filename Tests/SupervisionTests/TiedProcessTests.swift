import Glibc
import Supervision
import Testing

@Suite struct TiedProcessTests {
    /// Runs a program to its end.
    private func run(_ command: [String]) throws -> (lines: [String], reason: String) {
        var process = try TiedProcess(command)
        var waiting = pollfd(fd: process.process, events: Int16(POLLIN), revents: 0)
        while poll(&waiting, 1, -1) < 1 {}
        return process.reap()
    }

    @Test func hasNothingOfThisProcessButItsOutput() throws {
        let held = open("/dev/null", O_RDONLY)
        defer { close(held) }
        let (lines, reason) = try run([
            "/bin/sh", "-c",
            "ls /proc/$$/fd; cat; env | sort; grep SigBlk /proc/self/status; exit 3",
        ])
        #expect(lines.prefix(3) == ["0", "1", "2"])
        #expect(lines.contains("LC_ALL=C") && lines.contains { $0.hasPrefix("PATH=") })
        #expect(lines.last == "SigBlk:?0000000000000000")
        #expect(reason == "it exited with code 3")
    }

    @Test func readsWhatIsWrittenToIt() throws {
        var process = try TiedProcess(["/bin/sh", "-c", "cat; echo end"], hasInput: true)
        #expect(process.write(ArraySlice("one\ntwo\n".utf8)) == 8)
        process.endInput()
        #expect(process.writable == -1)
        var waiting = pollfd(fd: process.process, events: Int16(POLLIN), revents: 0)
        while poll(&waiting, 1, -1) < 1 {}
        #expect(process.reap().lines == ["one", "two", "end"])
    }

    @Test func oneThatHasEndedTakesNoInput() throws {
        var process = try TiedProcess(["/bin/true"], hasInput: true)
        var waiting = pollfd(fd: process.process, events: Int16(POLLIN), revents: 0)
        while poll(&waiting, 1, -1) < 1 {}
        #expect(process.write(ArraySlice("x".utf8)) == nil)
        #expect(process.reap().reason == "it exited with code 0")
    }

    @Test func leadsAGroupOfItsOwn() throws {
        let (lines, _) = try run(["/bin/sh", "-c", "echo $$; cut -d' ' -f5 /proc/$$/stat"])
        #expect(lines.count == 2 && lines[0] == lines[1])
    }

    @Test func saysWhyAProgramCannotBeStarted() throws {
        let error = #expect(throws: SpawnError.self) { _ = try run(["/no/such/program"]) }
        #expect(error?.message == "cannot start /no/such/program: No such file or directory")
    }

    @Test func linesAreBoundedAndPrintable() {
        var lines = LogLines()
        #expect(lines.append(Array("a\u{1b}[2Jb\n\nc".utf8)) == ["a?[2Jb"])
        #expect(lines.append(Array("d\r\n".utf8)) == ["cd?"])
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 5000)
        #expect(lines.append(long + [10]).first?.utf8.count == LogLines.bytesMaximum)
        #expect(lines.append([0xff]).isEmpty)
        #expect(lines.finish() == ["\u{fffd}"])
        #expect(lines.finish().isEmpty)
    }
}
