import Foundation
import ROWCore
import SystemPackage

/// The database of a session that was damaged: it is checked, repaired and opened, or refused.
final class SessionTarget: FuzzTarget {
    private let scratch: Scratch
    private let state: StateLayout
    private let pristine: String
    private let seed: [UInt8]

    init() throws {
        let scratch = try Scratch("session")
        let state = StateLayout(FilePath(scratch.path("state")))
        try scratch.write([UInt8](repeating: 1, count: 10_000), to: "image/old/file")
        try waiting {
            let image = try await Image.open(
                DirectorySource(FilePath(scratch.path("image"))), state: state)
            let session = try await image.openSession("fuzz")
            try await session.makeDirectory("/new")
            try await session.create("/new/file")
            try await session.write("some bytes".utf8, to: "/new/file", at: 4095)
            try await session.write("others".utf8, to: "/old/file", at: 5000)
            try await session.rename("/old", to: "/moved")
            try await session.makeSymbolicLink("/link", to: "/moved/file")
            try await image.close()
        }
        self.scratch = scratch
        self.state = state
        pristine = scratch.path("pristine")
        try FileManager.default.copyItem(
            atPath: state.session("fuzz").string, toPath: pristine)
        seed = Array(try Data(contentsOf: URL(filePath: "\(pristine)/session.sqlite")))
    }

    func seeds() -> [[UInt8]] { [seed] }

    func take(_ bytes: [UInt8]) {
        let session = state.session("fuzz").string
        do {
            try? FileManager.default.removeItem(atPath: session)
            try FileManager.default.copyItem(atPath: pristine, toPath: session)
            try Data(bytes).write(to: URL(filePath: "\(session)/session.sqlite"))
        } catch {
            must(false, "\(error)")
        }
        open()
        guard let report = try? SessionCheck.run("fuzz", in: state, isRepairing: true) else {
            return
        }
        guard report.isClean else { return }
        let again = try? SessionCheck.run("fuzz", in: state)
        must(again?.isClean == true, "repaired, and damaged: \(String(describing: again?.left))")
        open()
    }

    private func open() {
        let (scratch, state) = (scratch, state)
        try? waiting {
            let image = try await Image.open(
                DirectorySource(FilePath(scratch.path("image"))), state: state)
            do {
                let session = try await image.openSession("fuzz")
                for path: FilePath in ["/new/file", "/moved/file", "/link", "/old/file"] {
                    _ = try? await session.readAll(path)
                }
                for path: FilePath in ["/", "/new", "/moved"] { _ = try? await session.list(path) }
                try? await session.create("/later")
                _ = try? await session.diff()
            } catch {}
            try? await image.close()
        }
    }
}
