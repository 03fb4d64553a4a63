/// Which machine a client is.
public enum MachineIdentity: Hashable, Sendable, CustomStringConvertible {
    /// By the address of its network card, in lower case with colons: on a network that this machine is on.
    case mac(String)
    /// By its IP address: elsewhere.
    case address(String)

    /// The address of a network card as it is written here; nil for what is none.
    static func card(_ text: String) -> String? {
        let bytes = text.split(separator: ":", omittingEmptySubsequences: false)
        guard bytes.count == 6, text.utf8.count == 17,
            bytes.allSatisfy({ $0.utf8.count == 2 && UInt8($0, radix: 16) != nil })
        else { return nil }
        return text.lowercased()
    }

    /// Good as a part of a session's name.
    var name: String {
        switch self {
        case .mac(let card): card.filter { $0 != ":" }
        case .address(let address): address.replacing(":", with: "-")
        }
    }

    public var description: String {
        switch self {
        case .mac(let text), .address(let text): text
        }
    }
}

extension MachineIdentity: Codable {
    enum CodingKeys: String, CodingKey { case mac, address }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let card = try container.decodeIfPresent(String.self, forKey: .mac) {
            self = .mac(card)
        } else {
            self = .address(try container.decode(String.self, forKey: .address))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .mac(let card): try container.encode(card, forKey: .mac)
        case .address(let address): try container.encode(address, forKey: .address)
        }
    }
}
