import CodecTestKit
import Foundation
import NFSProtocol
import XDR

/// One RPC record that a real client or server sent: a file of Tests/Vectors/raw, named after the
/// program, the procedure, what is special about it, and the direction: `NFS3-LOOKUP.noent.reply.hex`.
struct Vector: Sendable, CustomStringConvertible {
    enum Direction: String, Sendable { case call, reply }

    let name: String
    /// `NFS3`, `MOUNT1` or `MOUNT3`.
    let program: String
    /// `READ`.
    let procedure: String
    let direction: Direction
    let bytes: [UInt8]

    var description: String { name }

    static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Vectors/raw").standardized

    /// All captured records, by name.
    static func load() throws -> [Vector] {
        try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "hex" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map { try Vector(file: $0) }
    }

    private init(file: URL) throws {
        name = file.deletingPathExtension().lastPathComponent
        let parts = name.split(separator: ".").map(String.init)
        let words = parts[0].split(separator: "-").map(String.init)
        guard words.count == 2, let last = parts.last, let direction = Direction(rawValue: last)
        else { throw VectorError.name(name) }
        (program, procedure) = (words[0], words[1])
        self.direction = direction
        bytes = try Self.hexadecimal(String(contentsOf: file, encoding: .utf8), in: name)
    }

    /// The bytes of lines of hexadecimal digits; lines that begin with `#` are comments.
    private static func hexadecimal(_ text: String, in name: String) throws -> [UInt8] {
        let digits = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.joined().utf8
            .map { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 ? $0 - 48 : ($0 | 32) - 87 }
        guard digits.count % 2 == 0, digits.allSatisfy({ $0 < 16 }) else {
            throw VectorError.digits(name)
        }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}

enum VectorError: Error {
    /// The file's name does not say program, procedure and direction.
    case name(String)
    /// The file holds something else than pairs of hexadecimal digits.
    case digits(String)
    /// No type is known for the record's body.
    case type(String)
}

extension Vector {
    /// The program, version and procedure number that the file's name stands for.
    var numbers: [UInt32]? {
        let mount = Mount.Procedure.allCases.first { $0.name == procedure }?.rawValue
        let nfs = NFS3.Procedure.allCases.first { $0.name == procedure }?.rawValue
        return switch program {
        case "NFS3": nfs.map { [NFS3.program, NFS3.version, $0] }
        case "MOUNT1": mount.map { [Mount.program, Mount.version1, $0] }
        case "MOUNT3": mount.map { [Mount.program, Mount.version, $0] }
        default: nil
        }
    }

    /// The type of what follows the RPC header.
    var body: WireType {
        get throws {
            let suffix = direction == .call ? "args" : "res"
            let type =
                switch (program, procedure, direction) {
                case (_, "NULL", _), (_, "UMNTALL", _), (_, "UMNT", .reply): "void"
                case (_, "DUMP", .call), (_, "EXPORT", .call): "void"
                case ("NFS3", _, _): "\(procedure)3\(suffix)"
                case (_, "MNT", .call), (_, "UMNT", .call): "dirpath"
                case ("MOUNT1", "MNT", .reply): "mountres1"
                case (_, "MNT", .reply): "mountres3"
                case (_, "DUMP", .reply): "mountlist"
                case (_, "EXPORT", .reply): "exports"
                default: name
                }
            let known = WireTypes.all + [WireType("void", XDRVoid.self, in: [])]
            guard let found = known.first(where: { $0.name == type }) else {
                throw VectorError.type(name)
            }
            return found
        }
    }

    /// Decodes `record` as this vector's kind of record, and encodes what was decoded.
    func recode(_ record: [UInt8]) throws -> [UInt8] {
        var decoder = Decoder(record.span.bytes)
        switch direction {
        case .call:
            let header = try CallHeader(from: &decoder)
            return header.encoded() + (try body.recode(Array(record[decoder.offset...])))
        case .reply:
            let header = try ReplyHeader(from: &decoder)
            let rest = Array(record[decoder.offset...])
            // Nothing follows a header that says the call was not executed.
            let results = header.status == 0 ? try body : WireType("void", XDRVoid.self, in: [])
            return header.encoded() + (try results.recode(rest))
        }
    }
}
