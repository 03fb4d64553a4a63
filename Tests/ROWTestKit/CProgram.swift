import Foundation

/// The small C programs of `Tests/Programs`, built by the tests that need them.
public enum CProgram {
    /// Builds a program with gcc.
    /// - Parameter name: of the source without `.c`, and of the program.
    /// - Parameter flags: after the source, such as `-lnfs`.
    /// - Returns: the program's path, in `folder`.
    /// - Throws: ``MissingTool``, ``ToolFailure`` with the compiler's messages.
    public static func build(
        _ name: String, flags: [String] = [], in folder: TemporaryDirectory
    ) async throws -> String {
        let source = ProjectPaths.root.appendingPathComponent("Tests/Programs/\(name).c").path
        let program = folder.path(name)
        try await runTool(
            "gcc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source] + flags)
        return program
    }
}
