package import Logging
import Synchronization

/// The log of the process, for `Logger`.
package struct LineLogHandler: LogHandler {
    private let output: LogOutput
    package var metadata = Logger.Metadata()
    package var metadataProvider: Logger.MetadataProvider?

    package init(_ output: LogOutput) { self.output = output }

    /// That of the output, for all loggers: it changes while they are in use.
    package var logLevel: Logger.Level {
        get { output.level }
        set {}
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        output.write(
            LogLine(
                level: event.level, message: "\(event.message)",
                metadata: all.mapValues { "\($0)" }))
    }
}

/// The log of the process, once it has one.
package enum ProcessLog {
    private static let made = Mutex<LogOutput?>(nil)

    /// Nil as long as nothing has been started.
    package static var output: LogOutput? { made.withLock(\.self) }

    /// From now on what any `Logger` is told goes to standard error, in this form.
    package static func start(_ format: LogFormat, _ level: Logger.Level) {
        made.withLock { output in
            if let output { return output.set(format, level) }
            let new = LogOutput(format: format, level: level)
            output = new
            LoggingSystem.bootstrap { _ in LineLogHandler(new) }
        }
    }
}
