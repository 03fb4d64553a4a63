import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Runs shell commands as somebody else, to see what the kernel says. Needs root and setpriv(1).
private struct Kernel: ~Copyable {
    static let setpriv = "/usr/bin/setpriv"

    let scratch: Scratch

    init() throws {
        try #require(geteuid() == 0, "run the tests as root: they act as several users")
        try #require(
            FileManager.default.isExecutableFile(atPath: Self.setpriv),
            "setpriv, of util-linux, is missing: run `make setup`")
        scratch = try Scratch()
        #expect(chmod(scratch.path.string, 0o777) == 0)
    }

    /// The lines that `script` prints in the scratch directory.
    func run(_ script: String, as caller: Credential) throws -> [String] {
        let process = Process()
        process.executableURL = URL(filePath: Self.setpriv)
        let groups = (0..<caller.groups.count).map { String(caller.groups[$0]) }
        process.arguments = [
            "--reuid", "\(caller.uid)", "--regid", "\(caller.gid)",
            groups.isEmpty ? "--clear-groups" : "--groups=\(groups.joined(separator: ","))",
            "/bin/sh", "-c", "umask 0; exec 2>/dev/null; \(script)",
        ]
        process.currentDirectoryURL = URL(filePath: scratch.path.string)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

@Suite struct PermissionKernelTests {
    private static let callers = [owner, member, primaryMember, stranger, .root]

    @Test func everyModeGrantsWhatTheKernelGrants() throws {
        let kernel = try Kernel()
        for mode in 0..<0o1000 as Range<UInt32> {
            let name = String(mode, radix: 8)
            let file = kernel.scratch.path.appending("f\(name)").string
            let directory = kernel.scratch.path.appending("d\(name)").string
            #expect(close(creat(file, mode)) == 0 && mkdir(directory, mode) == 0)
            for path in [file, directory] {
                #expect(chown(path, 1000, 2000) == 0 && chmod(path, mode) == 0)
            }
        }
        for caller in Self.callers {
            let lines = try kernel.run(
                """
                for f in f* d*; do
                    r=0; w=0; x=0
                    test -r $f && r=4; test -w $f && w=2; test -x $f && x=1
                    echo $f $((r + w + x))
                done
                """, as: caller)
            #expect(lines.count == 1024)
            for line in lines {
                let words = line.split(separator: " ")
                let mode = try #require(UInt32(words[0].dropFirst(), radix: 8))
                let attributes = object(words[0].first == "d" ? .directory : .regular, mode)
                let granted = ([1, 2, 4] as [UInt32]).reduce(UInt32(0)) { sum, bit in
                    let wanted = Permission(rawValue: bit)
                    return sum + (PermissionRules.allows(wanted, attributes, caller) ? bit : 0)
                }
                #expect("\(granted)" == words[1], "\(line) for \(caller.uid)")
            }
        }
    }

    @Test func modesChangeAsInTheKernel() throws {
        let kernel = try Kernel()
        let modes: [UInt32] = [0o777, 0o4777, 0o2777, 0o6777, 0o6767, 0o2766, 0o1666]
        for caller in Self.callers {
            for mode in modes {
                let text = String(mode, radix: 8)
                let gid = caller.groups.count > 0 ? caller.groups[0] : caller.gid
                _ = try kernel.run(
                    "for f in w t g m; do : > $f; done; chown 1000:2000 *; chmod \(text) *",
                    as: .root)
                let lines = try kernel.run(
                    """
                    echo x >> w; stat -c %a w
                    truncate -s 5 t; stat -c %a t
                    chgrp \(gid) g; echo $?; stat -c %a g
                    chmod 6755 m; echo $?; stat -c %a m
                    rm -f w t g m
                    """, as: caller)
                let file = object(.regular, mode)
                var wanted = [
                    PermissionRules.strippingSetID(file, caller),
                    PermissionRules.strippingSetID(file, caller),
                ].map { String($0, radix: 8) }
                if isAllowed(NFS3.SetAttributes(gid: gid), file, caller) {
                    let after = PermissionRules.strippingSetIDForOwnerChange(file, caller)
                    wanted += ["0", String(after, radix: 8)]
                } else {
                    wanted += ["1", text]
                }
                if isAllowed(NFS3.SetAttributes(mode: 0o6755), file, caller) {
                    let after = PermissionRules.mode(0o6755, for: file, caller)
                    wanted += ["0", String(after, radix: 8)]
                } else {
                    wanted += ["1", text]
                }
                #expect(lines == wanted, "mode \(text) for \(caller.uid)")
                _ = try kernel.run("rm -f w t g m", as: .root)
            }
        }
    }

    @Test func newObjectsInheritAsInTheKernel() throws {
        let kernel = try Kernel()
        _ = try kernel.run(
            "mkdir a b; chown 1000:2000 a b; chmod 777 a; chmod 2777 b", as: .root)
        for caller in Self.callers {
            let lines = try kernel.run(
                """
                for d in a b; do
                    mkdir $d/d; : > $d/f; ln -s x $d/l
                    stat -c '%a %g' $d/d $d/f $d/l
                    rm -rf $d/*
                done
                """, as: caller)
            let objects: [(NFS3.FileType, UInt32)] = [
                (.directory, 0o777), (.regular, 0o666), (.symbolicLink, 0o777),
            ]
            let wanted = ([0o777, 0o2777] as [UInt32]).flatMap { directoryMode in
                objects.map { type, mode in
                    let made = PermissionRules.inherit(
                        object(.directory, directoryMode), type: type, mode: mode, caller)
                    return "\(String(made.mode, radix: 8)) \(made.gid)"
                }
            }
            #expect(lines == wanted, "for \(caller.uid)")
        }
    }

    @Test func stickyDirectoriesProtectAsInTheKernel() throws {
        let kernel = try Kernel()
        for (directoryOwner, caller) in Self.callers.flatMap({ caller in
            [1000, 1001].map { (UInt32($0), caller) }
        }) {
            _ = try kernel.run(
                "mkdir s; : > s/f; chown \(directoryOwner) s; chown 1000 s/f; chmod 1777 s",
                as: .root)
            let lines = try kernel.run("rm -f s/f; echo $?", as: caller)
            let isAllowed = PermissionRules.mayDelete(
                object(.regular, 0o644), from: object(.directory, 0o1777, uid: directoryOwner),
                caller)
            #expect(lines == [isAllowed ? "0" : "1"], "\(directoryOwner) \(caller.uid)")
            _ = try kernel.run("rm -r s", as: .root)
        }
    }

    private func isAllowed(
        _ new: NFS3.SetAttributes, _ attributes: NFS3.Attributes, _ caller: Credential
    ) -> Bool {
        (try? PermissionRules.checkSetAttributes(new, attributes, caller)) != nil
    }
}
