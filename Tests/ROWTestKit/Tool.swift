import Foundation

/// A program that a test needs is not installed. Tests fail by it; they are never skipped.
public struct MissingTool: Error, CustomStringConvertible {
    public let name: String
    public var remedy = "run 'make setup'"

    public var description: String { "'\(name)' is missing: \(remedy)" }
}

/// A program ended with a failure.
public struct ToolFailure: Error, CustomStringConvertible {
    public let command: String
    public let result: Tool.Result

    public var description: String {
        "\(command): \(result.status)\n\(result.errors)\n\(result.output)"
    }
}

/// Programs that do one thing and end.
public enum Tool {
    public struct Result: Sendable {
        public let status: ExitStatus
        public let output: String
        public let errors: String
    }

    /// The path of a program.
    /// - Parameter name: a path, or a name that is looked for in `PATH` and in `/usr/sbin`.
    public static func find(_ name: String) throws -> String {
        let files = FileManager.default
        if name.contains("/") {
            guard files.isExecutableFile(atPath: name) else { throw MissingTool(name: name) }
            return name
        }
        let folders =
            (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin"
        for folder in folders.split(separator: ":") {
            let path = "\(folder)/\(name)"
            if files.isExecutableFile(atPath: path) { return path }
        }
        throw MissingTool(name: name)
    }

    /// Runs a program to its end.
    /// - Throws: ``MissingTool``, ``TimedOut``. A non-zero exit is returned, not thrown.
    public static func result(
        of program: String, _ arguments: [String] = [], environment: [String: String] = [:],
        within limit: Duration = .seconds(60)
    ) async throws -> Result {
        let child = try ChildProcess(program, arguments, environment: environment)
        let status = try await child.exit(within: limit)
        return Result(status: status, output: child.output, errors: child.errors)
    }
}

/// Runs a program that must succeed.
/// - Returns: its standard output.
/// - Throws: ``ToolFailure`` for a non-zero exit, ``MissingTool``, ``TimedOut``.
@discardableResult
public func runTool(
    _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
    within limit: Duration = .seconds(60)
) async throws -> String {
    let result = try await Tool.result(
        of: program, arguments, environment: environment, within: limit)
    guard result.status == .exited(0) else {
        let command = ([program] + arguments).joined(separator: " ")
        throw ToolFailure(command: command, result: result)
    }
    return result.output
}
