// A node of a distributed hash table for rowctl: requests are lines of JSON on standard input, answers lines of
// JSON on standard output. It ends at the end of its input. Messages.swift says what the lines are.

import COpenDHT
import Foundation
import Glibc

/// Bytes of a line: a value of 4 KiB and what is around it.
let lineSizeMaximum = 100_000

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("rowctl-dht: \(message)\n".utf8))
    exit(EXIT_FAILURE)
}

/// - Parameter text: `HOST:PORT`, with an IPv6 address in brackets.
func endpoint(_ text: String) -> (host: String, port: String)? {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let port = text[text.index(after: colon)...]
    let host = text[..<colon].trimmingCharacters(in: ["[", "]"])
    guard let number = UInt16(port), number > 0, !host.isEmpty else { return nil }
    return (host, String(number))
}

func infohash(_ text: String) -> dht_infohash? {
    guard text.utf8.count == 40, text.utf8.allSatisfy({ isxdigit(Int32($0)) != 0 }) else {
        return nil
    }
    var hash = dht_infohash()
    dht_infohash_from_hex(&hash, text)
    return hash
}

func serve(_ line: Data, _ node: Node, _ output: Output) {
    guard let request = try? JSONDecoder().decode(Request.self, from: line) else {
        output.send(Answer(error: "a line that is no request"))
        return
    }
    if let key = request.get.flatMap(infohash) {
        node.get(key, request)
    } else if let key = request.put.flatMap(infohash),
        let value = request.value.flatMap({ Data(base64Encoded: $0) })
    {
        node.put(key, value, request)
    } else if request.stats == true {
        output.send(
            Answer(id: request.id, ok: true, nodes: node.goodNodes, port: node.port))
    } else {
        output.send(Answer(id: request.id, ok: false, error: "nothing that can be done"))
    }
}

var port: UInt16 = 0
var bootstrap: [(host: String, port: String)] = []
var arguments = CommandLine.arguments.dropFirst()
while let option = arguments.popFirst() {
    switch (option, arguments.popFirst()) {
    case ("--port", let text?):
        guard let number = UInt16(text) else { fail("'\(text)' is no port") }
        port = number
    case ("--bootstrap", let text?):
        guard let peer = endpoint(text) else { fail("'\(text)' is not HOST:PORT") }
        bootstrap.append(peer)
    default:
        fail("usage: rowctl-dht [--port PORT] [--bootstrap HOST:PORT]...; rowctl starts it")
    }
}

signal(SIGPIPE, SIG_IGN)
let output = Output()
guard let node = Node(port: port, bootstrap: bootstrap, output: output) else {
    fail(
        "cannot use UDP port \(port): another program may have it; 'ss -lunp' shows which, or give "
            + "another port by --dht-port")
}
output.send(Answer(ok: true, port: node.port))

var input = Data()
var buffer = [UInt8](repeating: 0, count: 65_536)
while true {
    let count = read(STDIN_FILENO, &buffer, buffer.count)
    if count < 0, errno == EINTR { continue }
    if count <= 0 { break }
    input.append(contentsOf: buffer[..<count])
    while let end = input.firstIndex(of: UInt8(ascii: "\n")) {
        serve(Data(input[..<end]), node, output)
        input = Data(input[input.index(after: end)...])
    }
    guard input.count <= lineSizeMaximum else { fail("a line of over \(lineSizeMaximum) bytes") }
}
node.shutdown()
_exit(EXIT_SUCCESS)
