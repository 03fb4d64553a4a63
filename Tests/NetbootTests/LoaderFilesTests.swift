import Foundation
import NIOCore
import ROWTestKit
import Testing

@testable import Netboot

@Suite struct LoaderFilesTests {
    @Test func laysOutScriptAndLoadersAndSaysWhatIsMissing() throws {
        let folder = try TemporaryDirectory()
        let loaders = try folder.directory("loaders")
        _ = try folder.file("loaders/real.efi", "an efi program")
        // As in Debian, where it is a symbolic link.
        try FileManager.default.createSymbolicLink(
            atPath: loaders + "/ipxe.efi", withDestinationPath: loaders + "/real.efi")
        let root = folder.path("run/tftp")
        let settings = try settings(tftpRoot: root, loaderDirectory: loaders)

        let files = try LoaderFiles.prepare(settings)
        #expect(files.missing == ["undionly.kpxe"])
        #expect(files.documents["ipxe.efi"] == ByteBuffer(string: "an efi program"))
        #expect(files.documents["boot.ipxe"] == ByteBuffer(string: BootScript(settings).text))
        #expect(try names(root) == ["boot.ipxe", "ipxe.efi"])
        #expect(
            try String(contentsOfFile: root + "/ipxe.efi", encoding: .utf8) == "an efi program")

        // A loader that has gone since is not handed out any more.
        try FileManager.default.removeItem(atPath: loaders + "/ipxe.efi")
        #expect(try LoaderFiles.prepare(settings).missing == ["undionly.kpxe", "ipxe.efi"])
        #expect(try names(root) == ["boot.ipxe"])
    }

    @Test func copiesKernelAndInitialFileSystem() async throws {
        let folder = try TemporaryDirectory()
        let settings = try settings(tftpRoot: folder.path)
        let kernel = TestFile(bytes: 2 * BootFileReading.pieceBytes + 5)
        let initrd = TestFile(bytes: 0)
        let files = TestFiles(["boot/vmlinuz": kernel, "boot/initrd.img": initrd])
        try await LoaderFiles.copyKernel(settings, from: files, for: "10.77.3.9")
        #expect(try names(folder.path) == ["initrd.img", "vmlinuz"])
        let copy = try Data(contentsOf: URL(filePath: folder.path("vmlinuz")))
        #expect(copy.count == Int(kernel.size) && TestFile.isWhole(ByteBuffer(bytes: copy)))
        await kernel.closed.wait()
        await initrd.closed.wait()
    }

    @Test func aFailedCopyLeavesTheOneBefore() async throws {
        let folder = try TemporaryDirectory()
        let settings = try settings(tftpRoot: folder.path)
        _ = try folder.file("vmlinuz", "the one before")
        let kernel = TestFile(bytes: 3 << 20, failsAt: 2 << 20)
        await #expect(throws: TestFile.Failure.self) {
            try await LoaderFiles.copyKernel(
                settings, from: TestFiles(["boot/vmlinuz": kernel]), for: "10.77.3.9")
        }
        await kernel.closed.wait()
        #expect(try names(folder.path) == ["vmlinuz"])
        let error = await #expect(throws: NetbootError.self) {
            try await LoaderFiles.copyKernel(settings, from: TestFiles([:]), for: "10.77.3.9")
        }
        #expect(error?.code == .missingFile)
        #expect(
            try String(contentsOfFile: folder.path("vmlinuz"), encoding: .utf8) == "the one before")
    }

    private func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }
}
