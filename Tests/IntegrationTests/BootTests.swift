import Foundation
import ROWTestKit
import Testing

/// Runs one of `scripts/lab/boot`, which does all of it in networks that it makes and removes, and prints what it
/// measured.
private func run(_ script: String, _ arguments: String...) async throws -> String {
    let words =
        ["--netboot", "--rowctl", try ProjectPaths.builtProgram("rowctl")] + arguments
    let result = try await Tool.result(
        of: ProjectPaths.labScript("boot/\(script)"), words, within: .seconds(900))
    print(result.output)
    #expect(result.status == .exited(0), "\(result.errors)")
    return result.output
}

/// Machines without disks: the kernel is Linux's own, and so is its NFS client.
@Suite struct BootTests {
    /// iPXE from the network card's ROM, then a kernel and busybox.
    @Test func aSmallMachineBootsAndFindsItsFilesAgain() async throws {
        let output = try await run("check", "tiny")
        #expect(output.contains("bytes from main"))
        #expect(output.hasSuffix("the image has not changed\n"))
    }
}

/// The same with Debian as it is, and what may happen to it meanwhile: `make test-boot`.
@Suite(.serialized) struct SystemdBootTests {
    @Test func debianBootsAndFindsItsFilesAgain() async throws {
        let output = try await run("check", "systemd")
        #expect(output.hasSuffix("the image has not changed\n"))
    }

    @Test func twoMachinesBootAtOnce() async throws {
        _ = try await run("two-machines")
    }

    @Test func aMachineGoesOnWhenTheOverlayHasBeenCut() async throws {
        _ = try await run("overlay-cut")
    }

    @Test func aMachineGoesOnWhenItsServersWereKilled() async throws {
        _ = try await run("proxy-killed")
    }
}
