import Dispatch
import Foundation
import NIOCore
import ROWTestKit
import Testing

@testable import ROWProxy
@testable import ROWStatus

/// The server answers what it should, and nothing can be had of it or done to it beyond that.
@Suite struct StatusServerTests {
    @Test func answersInOrderOnOneConnection() async throws {
        let watched = try await Watched.start()
        let one = "GET /healthz HTTP/1.1\r\nHost: localhost:\(watched.server.port)\r\n\r\n"
        let all = try await HTTP.answer(
            one + "HEAD /status.json?x=1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"
                + HTTP.request("/none"), port: watched.server.port)
        let answers = all.components(separatedBy: "HTTP/1.1 ").dropFirst()
        try #require(answers.count == 3)
        #expect(answers[1].hasPrefix("200 OK\r\n") && answers[1].hasSuffix("\r\n\r\nok\n"))
        #expect(answers[2].contains("Content-Type: application/json\r\n"))
        #expect(answers[2].hasSuffix("\r\n\r\n"))
        #expect(answers[3].hasPrefix("404 Not Found\r\n"))
        for answer in answers {
            #expect(answer.contains("X-Content-Type-Options: nosniff\r\n"))
            #expect(answer.contains("Content-Security-Policy: default-src 'none';"))
        }
        try await watched.stop()
    }

    @Test func refusesWhatChangesSomethingOrIsMeantForAnother() async throws {
        let watched = try await Watched.start()
        let port = watched.server.port
        for (request, status) in [
            (HTTP.request("/", method: "POST", more: "Content-Length: 3\r\n") + "a=b", "405"),
            (HTTP.request("/", method: "DELETE"), "405"),
            (HTTP.request("/", more: "Content-Length: 3\r\n") + "abc", "400"),
            (HTTP.request("/", more: "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400"),
            (HTTP.request("/", host: "evil.example"), "421"),
            (HTTP.request("/", host: "localhost.evil.example:80"), "421"),
            (HTTP.request("/", host: "192.0.2.1"), "421"),
            (HTTP.request("/", host: "a\r\nHost: localhost"), "421"),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "421"),
            (HTTP.request("/../../etc/passwd"), "404"), (HTTP.request("/%2e%2e/"), "404"),
            (HTTP.request("http://localhost/"), "404"),
            (HTTP.request("/metrics", host: "127.8.9.1:\(port)"), "200"),
        ] {
            let answer = try await HTTP.answer(request, port: port)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request): \(answer.prefix(80))")
        }
        try await watched.stop()
    }

    @Test func whatIsTooLongOrNoHTTPEndsTheConnection() async throws {
        let watched = try await Watched.start()
        let port = watched.server.port
        let long = String(repeating: "a", count: 1 << 20)
        let many = (0..<200).map { "X-\($0): 1\r\n" }.joined()
        for request in [
            "GET /\(long) HTTP/1.1\r\n\r\n", HTTP.request("/", more: "X: \(long)\r\n"),
            HTTP.request("/", more: many), "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n",
        ] {
            let answer = try await HTTP.answer(request, port: port)
            #expect(!answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(80))")
        }
        #expect(try await watched.get("/healthz").body == "ok\n")
        try await watched.stop()
    }

    private func connectionCount(of watched: Watched, is count: Int) async throws {
        try await poll(for: "\(count) connections", within: .seconds(30)) {
            watched.server.connectionCount == count ? () : nil
        }
    }

    @Test func connectionsAreBounded() async throws {
        let watched = try await Watched.start(timeout: .seconds(600))
        let port = watched.server.port
        try await connectionCount(of: watched, is: 0)
        var held: [HTTPConnection] = []
        for _ in 0..<StatusServer.connectionsMaximum {
            let connection = try await HTTPConnection(port: port)
            try await connection.send("GET / HT")
            held.append(connection)
        }
        try await connectionCount(of: watched, is: StatusServer.connectionsMaximum)
        // The next gets nothing.
        #expect(try await HTTP.answer(HTTP.request("/healthz"), port: port) == "")
        for connection in held { try await connection.close() }
        try await connectionCount(of: watched, is: 0)
        #expect(try await watched.get("/healthz").body == "ok\n")
        try await watched.stop()
    }

    @Test func aRequestThatDoesNotEndIsNotWaitedFor() async throws {
        let watched = try await Watched.start()
        // The other has time to answer.
        let hasty = try await StatusServer.start(
            host: "127.0.0.1", port: 0, watched.source, timeout: .seconds(2))
        let slow = try await HTTPConnection(port: hasty.port)
        try await slow.send("GET / HT")
        #expect(try await slow.untilClosed().readableBytes == 0)
        #expect(try await watched.get("/healthz").body == "ok\n")
        await hasty.stop()
        try await watched.stop()
    }

    @Test func aReaderThatDoesNotReadIsLetGo() async throws {
        let watched = try await Watched.start(timeout: .seconds(2))
        let connection = try await HTTPConnection(port: watched.server.port, reads: false)
        try await connectionCount(of: watched, is: 1)
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        // More answers than sockets take.
        try? await connection.send(String(repeating: request, count: 4000))
        try await connectionCount(of: watched, is: 0)
        // The server's end of it may have arrived.
        try? await connection.close()
        try await watched.stop()
    }

    @Test func aPortThatIsTakenIsSaid() async throws {
        let watched = try await Watched.start()
        let error = await #expect(throws: StatusServerError.self) {
            _ = try await StatusServer.start(
                host: "127.0.0.1", port: watched.server.port, watched.source)
        }
        #expect(try #require(error).message.contains("another program has that port"))
        try await watched.stop()
    }

    @Test func imagesThatDoNotAnswerAreToldOf() async throws {
        let watched = try await Watched.start()
        let gate = DispatchSemaphore(value: 0)
        watched.proxy.imageLoop.eventLoop.execute { gate.wait() }
        let (head, body) = try await watched.get("/healthz")
        #expect(head.hasPrefix("HTTP/1.1 503") && body == "1 images do not answer\n")
        let samples = Samples(try await watched.get("/metrics").body)
        #expect(samples["rowfs_images_silent"] == 1)
        gate.signal()
        #expect(
            try await poll(for: "answer", within: .seconds(30)) {
                try await watched.get("/healthz").body == "ok\n" ? true : nil
            })
        try await watched.stop()
    }
}
