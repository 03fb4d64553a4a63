public import CodecTestKit
public import NFSProtocol

extension Mount.DirectoryPath: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.text(upTo: Mount.pathSizeMaximum))
    }
}

extension Mount.Name: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.text(upTo: Mount.nameSizeMaximum))
    }
}

extension Mount.Mnt.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(handle: .random(using: &random), flavors: random.list { $0.edgy() })
    }
}

extension Mount.Dump.Entry: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(hostname: .random(using: &random), directory: .random(using: &random))
    }
}

extension Mount.Dump.Result: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.list { .random(using: &$0) })
    }
}

extension Mount.Export.Entry: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(directory: .random(using: &random), groups: random.list { .random(using: &$0) })
    }
}

extension Mount.Export.Result: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.list { .random(using: &$0) })
    }
}

extension Portmap.Mapping: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            program: random.edgy(), version: random.edgy(),
            transport: Portmap.Transport(rawValue: random.edgy()), port: random.edgy())
    }
}

extension Portmap.Acceptance: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(accepted: .random(using: &random))
    }
}

extension Portmap.Getport.Result: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(port: random.edgy())
    }
}

extension Portmap.Dump.Result: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.list { .random(using: &$0) })
    }
}

extension Portmap.Callit.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            program: random.edgy(), version: random.edgy(), procedure: random.edgy(),
            arguments: random.bytes(upTo: 100))
    }
}

extension Portmap.Callit.Result: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(port: random.edgy(), results: random.bytes(upTo: 100))
    }
}

extension Mount.Status: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        random.maybe { randomFailure(using: &$0) } ?? .ok
    }

    /// Any number but MNT3_OK, known or not.
    static func randomFailure(using random: inout SeededGenerator) -> Self {
        let known: [Self] = [.perm, .noent, .acces, .notdir, .serverFault]
        return random.maybe { known[Int.random(in: 0..<known.count, using: &$0)] }
            ?? Self(rawValue: UInt32.random(in: 1...0x7fff_ffff, using: &random))
    }
}

extension Mount.Mnt.SuccessVersion1: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        let bytes = random.bytes(count: Mount.handleSizeVersion1)
        return Self(handle: NFS3.FileHandle(bytes.span.bytes))!
    }
}

extension Mount.Outcome: Wire where OK: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        random.maybe { .failure(.randomFailure(using: &$0)) } ?? .ok(.random(using: &random))
    }
}
