public import CodecTestKit
public import NFSProtocol
public import XDR

extension XDRVoid: Wire {
    public static func random(using random: inout SeededGenerator) -> Self { Self() }
}

extension NFS3.FileHandle: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        let bytes = random.bytes(
            count: Int.random(in: 0...NFS3.handleSizeMaximum, using: &random))
        return Self(bytes.span.bytes)
    }
}

extension NFS3.Filename: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.text(upTo: 255))
    }
}

extension NFS3.Path: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.text(upTo: 300))
    }
}

extension NFS3.FileType: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        allCases[Int.random(in: 0..<allCases.count, using: &random)]
    }
}

extension NFS3.Stability: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        allCases[Int.random(in: 0..<allCases.count, using: &random)]
    }
}

extension NFS3.Status: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        random.maybe { randomFailure(using: &$0) } ?? .ok
    }

    /// Any number but NFS3_OK, known or not.
    static func randomFailure(using random: inout SeededGenerator) -> Self {
        let known: [Self] = [.perm, .noent, .io, .exist, .stale, .badCookie, .jukebox]
        return random.maybe { known[Int.random(in: 0..<known.count, using: &$0)] }
            ?? Self(rawValue: UInt32.random(in: 1...0x7fff_ffff, using: &random))
    }
}

extension NFS3.SetTime: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        switch UInt8.random(in: 0..<3, using: &random) {
        case 0: .dontChange
        case 1: .serverTime
        default: .clientTime(.random(using: &random))
        }
    }
}

extension NFS3.CreateMode: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        switch UInt8.random(in: 0..<3, using: &random) {
        case 0: .unchecked(.random(using: &random))
        case 1: .guarded(.random(using: &random))
        default: .exclusive(random.edgy())
        }
    }
}

extension NFS3.Mknod.Node: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        switch NFS3.FileType.random(using: &random) {
        case .regular: .regular
        case .directory: .directory
        case .blockDevice: .blockDevice(.random(using: &random), .random(using: &random))
        case .characterDevice: .characterDevice(.random(using: &random), .random(using: &random))
        case .symbolicLink: .symbolicLink
        case .socket: .socket(.random(using: &random))
        case .fifo: .fifo(.random(using: &random))
        }
    }
}

extension NFS3.Time: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(seconds: random.edgy(), nanoseconds: random.edgy())
    }
}

extension NFS3.Device: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(major: random.edgy(), minor: random.edgy())
    }
}

extension NFS3.Attributes: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            type: .random(using: &random), mode: random.edgy(), nlink: random.edgy(),
            uid: random.edgy(), gid: random.edgy(), size: random.edgy(), used: random.edgy(),
            rdev: .random(using: &random), fsid: random.edgy(), fileid: random.edgy(),
            atime: .random(using: &random), mtime: .random(using: &random),
            ctime: .random(using: &random))
    }
}

extension NFS3.WCCAttributes: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(size: random.edgy(), mtime: .random(using: &random), ctime: .random(using: &random))
    }
}

extension NFS3.WCCData: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            before: random.maybe { .random(using: &$0) },
            after: random.maybe { .random(using: &$0) })
    }
}

extension NFS3.SetAttributes: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            mode: random.maybe { $0.edgy() }, uid: random.maybe { $0.edgy() },
            gid: random.maybe { $0.edgy() }, size: random.maybe { $0.edgy() },
            atime: .random(using: &random), mtime: .random(using: &random))
    }
}

extension NFS3.DirectoryOperation: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(directory: .random(using: &random), name: .random(using: &random))
    }
}
