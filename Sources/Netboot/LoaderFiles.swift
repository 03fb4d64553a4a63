internal import CLinux
internal import Foundation
public import NIOCore

/// What machines fetch before there is an image: iPXE for firmware that is none, and its script.
public struct LoaderFiles: Sendable {
    static let script = "boot.ipxe"
    static let bios = "undionly.kpxe"
    static let efi = "ipxe.efi"
    /// What the loader directory is to have, for firmware that is not iPXE.
    public static let loaders = [bios, efi]
    static let kernel = "vmlinuz"
    static let initrd = "initrd.img"

    /// What ``BootHTTPServer`` answers from memory.
    public let documents: [String: ByteBuffer]
    /// The loaders that the loader directory does not have. Machines whose firmware is iPXE do without.
    public let missing: [String]

    /// Puts the script and the loaders into the TFTP root, which is made where there is none.
    /// - Throws: ``NetbootError`` with code `io`.
    public static func prepare(_ settings: BootSettings) throws(NetbootError) -> LoaderFiles {
        let code = clinux_mkdir_parents(settings.tftpRoot, 0o755)
        guard code == 0 else {
            throw NetbootError(
                .io,
                "cannot make the directory \(settings.tftpRoot): \(String(cString: strerror(-code)))"
            )
        }
        var documents = [script: ByteBuffer(string: BootScript(settings).text)]
        var missing: [String] = []
        for loader in loaders {
            let source = URL(filePath: "\(settings.loaderDirectory)/\(loader)")
            if let content = try? Data(contentsOf: source) {
                documents[loader] = ByteBuffer(bytes: content)
            } else {
                missing.append(loader)
                unlink("\(settings.tftpRoot)/\(loader)")
            }
        }
        for (name, content) in documents {
            try AtomicFile.write(content, to: "\(settings.tftpRoot)/\(name)", mode: 0o644)
        }
        return LoaderFiles(documents: documents, missing: missing)
    }

    /// Copies kernel and initial file system into the TFTP root, for machines that can fetch them in no other way.
    /// Each of them is replaced when its copy is whole.
    /// - Parameter address: the machine whose session they are taken from.
    /// - Throws: ``NetbootError``: `missingFile` when the image has none, `io`; what `files` throw.
    public static func copyKernel(
        _ settings: BootSettings, from files: any BootFiles, for address: String
    ) async throws {
        for (path, name) in [(settings.kernel, kernel), (settings.initrd, initrd)] {
            guard let file = try await files.open(path, for: address) else {
                throw NetbootError(
                    .missingFile,
                    "the image \(settings.image) has no \(path), without which no machine boots: install a "
                        + "kernel in it, or say where it is")
            }
            do {
                try await copy(file, to: "\(settings.tftpRoot)/\(name)")
            } catch {
                await file.close()
                throw error
            }
            await file.close()
        }
    }

    private static func copy(_ file: any BootFile, to path: String) async throws {
        var target = try AtomicFile(path, mode: 0o644)
        try await BootFileReading.pieces(of: file) { piece in try target.append(piece) }
        try target.finish()
    }
}
