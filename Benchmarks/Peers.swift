import ArgumentParser
import Foundation
import ROWTestKit

/// A program that does the same job.
enum Peer: String, CaseIterable, Sendable {
    case ganesha
    case kernelOverlayfs = "kernel-overlayfs"
    case fuseOverlayfs = "fuse-overlayfs"
    case qcow2

    var tools: [DebianTool] {
        switch self {
        case .ganesha: [.ganesha]
        case .kernelOverlayfs: []
        case .fuseOverlayfs: [.fuseOverlayfs]
        case .qcow2: [.qemuImg, .qemuStorage]
        }
    }
}

/// Some of them, from the command line.
struct Peers: ExpressibleByArgument, Sendable {
    let all: Set<Peer>

    static let standard = Peers(all: [.ganesha])

    private init(all: Set<Peer>) { self.all = all }

    init?(argument: String) {
        var all: Set<Peer> = [.ganesha]
        for name in argument.split(separator: ",") {
            guard let peer = Peer(rawValue: String(name)) else { return nil }
            all.insert(peer)
        }
        self.all = all
    }

    var defaultValueDescription: String { "ganesha" }
}

/// A program of a Debian package.
struct DebianTool: Hashable, Sendable {
    let name: String
    let package: String

    static let ganesha = DebianTool(name: "ganesha.nfsd", package: "nfs-ganesha-vfs")
    static let iperf3 = DebianTool(name: "iperf3", package: "iperf3")
    static let fuseOverlayfs = DebianTool(name: "fuse-overlayfs", package: "fuse-overlayfs")
    static let qemuImg = DebianTool(name: "qemu-img", package: "qemu-utils")
    static let qemuStorage = DebianTool(
        name: "qemu-storage-daemon", package: "qemu-system-common")

    var isThere: Bool { (try? Tool.find(name)) != nil }
}

/// Looks, before anything is measured, whether all of it can be.
enum Requirements {
    static func check(_ sections: [Section], _ settings: Settings, install: Bool) async throws {
        let wanted = Set(sections.flatMap { $0.tools(for: settings) })
        let missing = Set(wanted.filter { !$0.isThere }.map(\.package)).sorted()
        guard !missing.isEmpty else { return }
        let list = missing.joined(separator: " ")
        guard install else {
            throw ValidationError(
                "Debian packages are missing: \(list). Give --install to install them, or leave "
                    + "out what needs them with --section, --filter or --peers.")
        }
        note("installing \(list)")
        let apt = try Tool.find("apt-get")
        let environment = ["DEBIAN_FRONTEND": "noninteractive"]
        try await runTool(apt, ["-q", "update"], environment: environment, within: .seconds(300))
        try await runTool(
            apt, ["-q", "-y", "install", "--no-install-recommends"] + missing,
            environment: environment, within: .seconds(600))
    }
}
