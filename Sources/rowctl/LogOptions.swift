public import ArgumentParser
import Console
import Foundation
public import Logging
import ROWProxy

/// How messages are written; the verbs that serve take it.
struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How messages are written to standard error: for people (text), or as a JSON object in each line.",
            discussion: "Default: what ROWFS_LOG_FORMAT says, or text.", valueName: "text|json"))
    var logFormat: LogFormat?

    @Option(
        help: ArgumentHelp(
            "The least message that is written: \(Logger.Level.offered.joined(separator: ", ")).",
            discussion: "Default: what ROWFS_LOG_LEVEL says, or \(Logger.Level.standard).",
            valueName: "level"))
    var logLevel: Logger.Level?

    /// From now on `Logger` writes them, as options say, or variables where those say nothing.
    func start() throws {
        let variables = ProcessInfo.processInfo.environment
        start(
            format: try Self.value("ROWFS_LOG_FORMAT", of: variables),
            level: try Self.value("ROWFS_LOG_LEVEL", of: variables))
    }

    /// The same where options say nothing of what a file says, and variables before it.
    func start(format: LogFormat?, level: Logger.Level?) {
        ProcessLog.start(logFormat ?? format ?? .text, logLevel ?? level ?? .standard)
    }

    private static func value<Value: ExpressibleByArgument>(
        _ name: String, of variables: [String: String]
    ) throws -> Value? {
        guard let text = variables[name] else { return nil }
        guard let value = Value(argument: text) else {
            let values = Value.allValueStrings.joined(separator: ", ")
            throw UsageError(description: "\(name) is '\(text)', and must be one of: \(values)")
        }
        return value
    }
}

extension LogFormat: ExpressibleByArgument {}

extension Logger.Level: @retroactive ExpressibleByArgument {
    public init?(argument: String) {
        guard Self.offered.contains(argument) else { return nil }
        self.init(rawValue: argument)
    }

    public static var allValueStrings: [String] { offered }
}

extension Logger {
    /// Of an image, or of one of its sessions.
    init(image: String, session: String? = nil) {
        self.init(label: "rowctl")
        self[metadataKey: "image"] = "\(image)"
        if let session { self[metadataKey: "session"] = "\(session)" }
    }

    /// For what a proxy tells.
    var proxyEvents: @Sendable (Proxy.Event) -> Void {
        var ofImage = self
        ofImage[metadataKey: "session"] = nil
        return { [ofImage] event in
            ofImage.log(
                level: event.level == .notice ? .notice : .warning, "\(event.message)",
                metadata: event.session.map { ["session": "\($0)"] })
        }
    }
}
