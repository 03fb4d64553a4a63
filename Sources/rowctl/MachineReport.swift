import ArgumentParser
import Console
import Foundation
import Glibc

/// What machine this is, for people who do not see it.
enum MachineReport {
    static var versions: String {
        var name = utsname()
        uname(&name)
        let kernel = [text(of: &name.sysname), text(of: &name.release), text(of: &name.machine)]
        let system = (file("/etc/os-release") ?? "").split(separator: "\n")
            .first { $0.hasPrefix("PRETTY_NAME=") }
        return """
            rowctl \(Rowctl.configuration.version)
            kernel \(kernel.joined(separator: " "))
            system \(system?.dropFirst("PRETTY_NAME=".count) ?? "unknown")
            processors \(ProcessInfo.processInfo.activeProcessorCount)
            memory \(byteText(Int(ProcessInfo.processInfo.physicalMemory)))
            user \(geteuid())
            time \(Date().formatted(.iso8601))
            """
    }

    static var limits: String { file("/proc/self/limits") ?? "unknown" }

    /// Of NFS alone.
    static var mounts: String {
        let entries = (try? MountTable.entries()) ?? []
        return entries.filter { $0.type.hasPrefix("nfs") }.map {
            "\($0.source) on \($0.mountPoint) (\($0.options.joined(separator: ",")))"
        }.joined(separator: "\n")
    }

    private static func file(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    /// Of an array of characters that C has.
    private static func text<Characters>(of characters: inout Characters) -> String {
        withUnsafeBytes(of: &characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
