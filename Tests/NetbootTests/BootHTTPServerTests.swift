import NIOCore
import NIOPosix
import ROWTestKit
import Synchronization
import Testing

@testable import Netboot

@Suite struct BootHTTPServerTests {
    private func serve(
        _ files: TestFiles = TestFiles([:]), documents: [String: ByteBuffer] = [:],
        idle: TimeAmount = .seconds(60),
        admits: @escaping @Sendable (SocketAddress) -> Bool = { _ in true },
        onRequest: @escaping @Sendable (String, String) -> Void = { _, _ in }
    ) async throws -> BootHTTPServer {
        try await BootHTTPServer.start(
            host: "127.0.0.1", port: 0,
            BootAnswerer(documents: documents, files: files, onRequest: onRequest), admits: admits,
            idleTimeout: idle, on: MultiThreadedEventLoopGroup.singleton)
    }

    /// All that comes for what is sent.
    private func answer(_ server: BootHTTPServer, _ request: String) async throws -> String {
        let connection = try await HTTPConnection(port: server.port)
        // It may be closed already.
        try? await connection.send(request)
        return String(buffer: try await connection.untilClosed())
    }

    private func get(_ path: String, _ method: String = "GET", isLast: Bool = true) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: proxy\r\n\(isLast ? "Connection: close\r\n" : "")\r\n"
    }

    @Test func answersFromMemoryAndFromFilesOnOneConnectionAndTells() async throws {
        let told = Mutex<[String]>([])
        let file = TestFile(bytes: 3)
        let server = try await serve(
            TestFiles(["boot/a b": file, "empty": TestFile(bytes: 0)]),
            documents: ["boot.ipxe": ByteBuffer(string: "#!ipxe\n")],
            onRequest: { path, address in told.withLock { $0.append("\(address) \(path)") } })
        // All at once: the answers come in order.
        let all = try await answer(
            server,
            get("/boot.ipxe", isLast: false) + get("/boot/a%20b", isLast: false)
                + get("/none", isLast: false) + get("/empty"))
        let answers = all.components(before: "HTTP/1.1 ")
        try #require(answers.count == 4)
        #expect(answers[0].hasPrefix("200 OK\r\n") && answers[0].hasSuffix("\r\n\r\n#!ipxe\n"))
        #expect(answers[0].contains("Content-Length: 7\r\n"))
        #expect(
            answers[1].hasPrefix("200 OK\r\n") && answers[1].hasSuffix("\r\n\r\n\u{0}\u{1}\u{2}"))
        #expect(
            answers[2].hasPrefix("404 ") && answers[2].hasSuffix("the image has no such file\n"))
        #expect(answers[3].contains("Content-Length: 0\r\n") && answers[3].hasSuffix("\r\n\r\n"))
        await file.closed.wait()
        #expect(
            told.withLock { $0 } == [
                "127.0.0.1 boot.ipxe", "127.0.0.1 boot/a b", "127.0.0.1 empty",
            ])
        await server.stop()
    }

    @Test func headTellsTheSizeAlone() async throws {
        let file = TestFile(bytes: 5 << 20, failsAt: 0)
        let server = try await serve(TestFiles(["kernel": file]))
        let text = try await answer(server, get("/kernel", "HEAD"))
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.hasSuffix("\r\n\r\n"))
        #expect(text.contains("Content-Length: 5242880\r\n"))
        await file.closed.wait()
        await server.stop()
    }

    @Test func anOldClientIsAnsweredAndTheConnectionEnds() async throws {
        let server = try await serve(TestFiles(["kernel": TestFile(bytes: 2)]))
        let text = try await answer(server, "GET /kernel HTTP/1.0\r\n\r\n")
        #expect(text.contains("200 OK") && text.hasSuffix("\r\n\r\n\u{0}\u{1}"))
        await server.stop()
    }

    @Test(arguments: [
        ("POST /kernel HTTP/1.1", "405"), ("DELETE /kernel HTTP/1.1", "405"),
        ("GET /../etc/shadow HTTP/1.1", "400"), ("GET /%2e%2e/shadow HTTP/1.1", "400"),
        ("GET /a%00b HTTP/1.1", "400"), ("GET http://a/kernel HTTP/1.1", "400"),
        ("GET / HTTP/1.1", "400"), ("GET", "400"), ("\u{16}\u{3}\u{1}", "400"),
        ("GET /kernel HTTP/1.1\r\nA: \(String(repeating: "a", count: 20_000))", "400"),
        (
            "GET /kernel HTTP/1.1"
                + (0..<100).map { "\r\nA\($0): b" }.joined(), "400"
        ),
    ]) func refuses(head: String, status: String) async throws {
        let file = TestFile(bytes: 1)
        let server = try await serve(TestFiles(["kernel": file]))
        let text = try await answer(server, "\(head)\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(
            text.hasPrefix("HTTP/1.1 \(status) ") || text.hasPrefix("HTTP/1.0 \(status) "),
            "\(text)")
        await server.stop()
    }

    @Test func refusesABody() async throws {
        let server = try await serve(TestFiles(["kernel": TestFile(bytes: 1)]))
        let text = try await answer(
            server,
            "GET /kernel HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        #expect(text.hasPrefix("HTTP/1.1 400 "))
        await server.stop()
    }

    @Test func saysWhenFilesCannotBeReadNow() async throws {
        let server = try await serve(TestFiles([:], isFailing: true))
        #expect(try await answer(server, get("/kernel")).hasPrefix("HTTP/1.1 503 "))
        await server.stop()
    }

    @Test func aReadingThatFailsEndsTheConnection() async throws {
        let file = TestFile(bytes: 3 << 20, failsAt: 2 << 20)
        let server = try await serve(TestFiles(["kernel": file]))
        // Nothing in the request asks for the connection to be closed.
        let connection = try await HTTPConnection(port: server.port)
        try await connection.send(get("/kernel", isLast: false))
        let bytes = try await connection.untilClosed()
        #expect(bytes.readableBytes < 3 << 20)
        let head = bytes.getString(at: 0, length: min(200, bytes.readableBytes))
        #expect(head?.contains("Content-Length: 3145728\r\n") == true)
        await file.closed.wait()
        await server.stop()
    }

    @Test func aLargeFileComesWholeAndIsNeverReadFarAhead() async throws {
        let size = 64 << 20
        let received = Atomic(0)
        let mostAhead = Atomic(0)
        let wasRead = Happening()
        let file = TestFile(bytes: size) { offset in
            _ = mostAhead.max(Int(offset) - received.load(ordering: .relaxed), ordering: .relaxed)
            wasRead.happens()
        }
        let server = try await serve(TestFiles(["kernel": file]))
        let connection = try await HTTPConnection(port: server.port, reads: false) {
            received.store($0, ordering: .relaxed)
        }
        try await connection.send(get("/kernel"))
        await wasRead.wait()
        try await connection.startReading()
        var answer = try await connection.untilClosed()
        let head = answer.readableBytes - size
        #expect(head > 0)
        answer.moveReaderIndex(forwardBy: max(head, 0))
        #expect(TestFile.isWhole(answer))
        // Two pieces here; the rest is what the kernel keeps for both ends of a connection.
        #expect(mostAhead.load(ordering: .relaxed) < 24 << 20)
        await server.stop()
    }

    @Test func aClientThatGoesAwayEndsTheReading() async throws {
        let file = TestFile(bytes: 3 << 20, sticksAt: 2 << 20)
        let server = try await serve(TestFiles(["kernel": file]))
        let connection = try await HTTPConnection(port: server.port)
        try await connection.send(get("/kernel"))
        await file.stuck.wait()
        try await connection.close()
        await file.closed.wait()
        await server.stop()
    }

    @Test func stoppingEndsWhatIsBeingRead() async throws {
        let file = TestFile(bytes: 3 << 20, sticksAt: 1 << 20)
        let server = try await serve(TestFiles(["kernel": file]))
        let connection = try await HTTPConnection(port: server.port)
        try await connection.send(get("/kernel"))
        await file.stuck.wait()
        await server.stop()
        await file.closed.wait()
        _ = try await connection.untilClosed()
    }

    @Test func aConnectionOnWhichNothingMovesIsClosed() async throws {
        let file = TestFile(bytes: 1, sticksAt: 0)
        let server = try await serve(TestFiles(["kernel": file]), idle: .milliseconds(50))
        #expect(try await answer(server, "GET /ker").isEmpty)
        // On a busy machine it may be closed before it has asked.
        while !file.opened.hasHappened { _ = try await answer(server, get("/kernel")) }
        await file.closed.wait()
        await server.stop()
    }

    @Test func thoseWhoMayNotComeInGetNoAnswer() async throws {
        let server = try await serve(
            documents: ["a": ByteBuffer(string: "secret")], admits: { _ in false })
        let connection = try await HTTPConnection(port: server.port)
        try? await connection.send(get("/a"))
        #expect(try await connection.untilClosed().readableBytes == 0)
        await server.stop()
    }

    @Test func takesNoMoreConnectionsThanItsBound() async throws {
        let server = try await serve(documents: ["a": ByteBuffer(string: "here")])
        var connections: [HTTPConnection] = []
        for _ in 0..<BootHTTPServer.connectionsMaximum {
            // It has been taken in when it is answered.
            let answered = Happening()
            let connection = try await HTTPConnection(port: server.port) { _ in answered.happens() }
            try await connection.send(get("/a", isLast: false))
            await answered.wait()
            connections.append(connection)
        }
        let surplus = try await HTTPConnection(port: server.port)
        #expect(try await surplus.untilClosed().readableBytes == 0)
        try await connections[0].send(get("/a"))
        #expect(String(buffer: try await connections[0].untilClosed()).hasSuffix("here"))
        // There is room again, as soon as the server has seen to it.
        _ = try await poll(for: "room", within: .seconds(20)) {
            try await answer(server, get("/a")).hasSuffix("here") ? true : nil
        }
        await server.stop()
        for connection in connections { _ = try await connection.untilClosed() }
    }

    @Test func saysWhenItsPortIsTaken() async throws {
        let server = try await serve()
        let error = await #expect(throws: NetbootError.self) {
            _ = try await BootHTTPServer.start(
                host: "127.0.0.1", port: server.port, documents: [:], files: TestFiles([:]),
                admits: { _ in true }, on: MultiThreadedEventLoopGroup.singleton)
        }
        #expect(error?.code == .addressInUse)
        await server.stop()
    }
}

extension String {
    /// What follows each occurrence of a mark.
    fileprivate func components(before mark: String) -> [String] {
        split(separator: mark, omittingEmptySubsequences: true).map(String.init)
    }
}
