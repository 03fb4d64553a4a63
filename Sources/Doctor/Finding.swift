/// Something that was looked at: what was found, why that matters, and what mends it.
public struct Finding: Sendable, Hashable, Encodable {
    public enum Severity: String, Sendable, Encodable, CaseIterable {
        /// It keeps rowfs from working.
        case problem
        /// It will one day, or makes it slow.
        case warning
        case fine
    }

    /// What was looked at. The names are an interface for other programs and stay.
    public enum Check: String, Sendable, Encodable {
        case kernelClient = "kernel-client"
        case mountProgram = "mount-program"
        case configuration
        case ports
        case portMapper = "port-mapper"
        case state
        case keys
        case certificate
        case space
        case fileSystem = "file-system"
        case descriptors
        case clock
        case main
        case shadow
        case squash
        case latency
        case netboot
        case overlay
    }

    public let check: Check
    public var severity: Severity
    /// A path, a URL, an address: which of several it is about.
    public let subject: String
    public let found: String
    /// Why it matters; nil for what is fine.
    public let reason: String?
    /// A command to run, or a line to change; nil for what is fine.
    public let remedy: String?

    static func fine(_ check: Check, _ subject: String, _ found: String) -> Finding {
        Finding(
            check: check, severity: .fine, subject: subject, found: found, reason: nil,
            remedy: nil)
    }

    static func warning(
        _ check: Check, _ subject: String, _ found: String, because reason: String,
        remedy: String
    ) -> Finding {
        Finding(
            check: check, severity: .warning, subject: subject, found: found, reason: reason,
            remedy: remedy)
    }

    static func problem(
        _ check: Check, _ subject: String, _ found: String, because reason: String,
        remedy: String
    ) -> Finding {
        Finding(
            check: check, severity: .problem, subject: subject, found: found, reason: reason,
            remedy: remedy)
    }
}
