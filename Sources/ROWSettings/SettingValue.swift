import Console
import Logging
import NFSClient
import ROWProxy

/// What a setting's text can be made into.
protocol SettingValue {
    init?(text: String)
    /// What the text must be, for people.
    static var expected: String { get }
}

extension Bool: SettingValue {
    init?(text: String) {
        switch text.lowercased() {
        case "yes", "true", "on", "1": self = true
        case "no", "false", "off", "0": self = false
        default: return nil
        }
    }

    static var expected: String { "yes or no" }
}

extension ByteSize: SettingValue {
    init?(text: String) { self.init(text) }

    static var expected: String { "a size such as 512M or 10G" }
}

extension AddressRange: SettingValue {
    init?(text: String) { self.init(text) }

    static var expected: String { "an address, or ADDRESS/BITS such as 192.0.2.0/24" }
}

extension ListenAddress: SettingValue {
    init?(text: String) { self.init(text) }

    static var expected: String { "ADDRESS:PORT" }
}

extension NFSURL: SettingValue {
    init?(text: String) {
        guard let url = try? NFSURL(text) else { return nil }
        self = url
    }

    static var expected: String { "nfs://HOST[:PORT]/EXPORT[?mountport=N]" }
}

extension LogFormat: SettingValue {
    init?(text: String) { self.init(rawValue: text) }

    static var expected: String { allCases.map(\.rawValue).joined(separator: " or ") }
}

extension Logger.Level: SettingValue {
    init?(text: String) {
        guard Self.offered.contains(text) else { return nil }
        self.init(rawValue: text)
    }

    static var expected: String { offered.joined(separator: ", ") }
}

extension Proxy.Durability: SettingValue {
    init?(text: String) { self.init(rawValue: text) }

    static var expected: String { allCases.map(\.rawValue).joined(separator: " or ") }
}

extension Proxy.RootAccess: SettingValue {
    init?(text: String) { self.init(rawValue: text) }

    static var expected: String { allCases.map(\.rawValue).joined(separator: " or ") }
}

/// Seconds that somebody waits.
struct Timeout: SettingValue, Equatable {
    let seconds: Double

    init?(text: String) {
        guard let seconds = Double(text), (0.1...86_400).contains(seconds) else { return nil }
        self.seconds = seconds
    }

    static var expected: String { "seconds from 0.1 to 86400" }
}

/// A file or directory, the same whatever the working directory is.
struct AbsolutePath: SettingValue, Equatable {
    let text: String

    init?(text: String) {
        guard text.hasPrefix("/") else { return nil }
        self.text = text
    }

    static var expected: String { "a path from the root, /..." }
}
