public import Foundation

/// Where the checkout and the programs of this build are.
public enum ProjectPaths {
    /// The root of the checkout whose tests run.
    public static let root = URL(fileURLWithPath: #filePath)
        .resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// A script of `scripts/lab`.
    public static func labScript(_ name: String) -> String {
        root.appendingPathComponent("scripts/lab/\(name)").path
    }

    /// A program that the same build made: it lies beside the test executable.
    /// - Throws: ``MissingTool`` when the build did not make it.
    public static func builtProgram(_ name: String) throws -> String {
        let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent()
        let path = folder.appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw MissingTool(name: name, remedy: "build it: 'swift build --product \(name)'")
        }
        return path
    }
}
