public import CodecTestKit
public import NFSProtocol

extension NFS3.Getattr.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(object: .random(using: &random))
    }
}

extension NFS3.Getattr.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(attributes: .random(using: &random))
    }
}

extension NFS3.Setattr.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            object: .random(using: &random), attributes: .random(using: &random),
            guardTime: random.maybe { .random(using: &$0) })
    }
}

extension NFS3.ObjectChange: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(wcc: .random(using: &random))
    }
}

extension NFS3.DirectoryChange: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(directory: .random(using: &random))
    }
}

extension NFS3.PostOperationAttributes: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(random.maybe { .random(using: &$0) })
    }
}

extension NFS3.CreatedObject: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            handle: random.maybe { .random(using: &$0) },
            attributes: random.maybe { .random(using: &$0) }, directory: .random(using: &random))
    }
}

extension NFS3.Lookup.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(what: .random(using: &random))
    }
}

extension NFS3.Lookup.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            object: .random(using: &random), attributes: random.maybe { .random(using: &$0) },
            directoryAttributes: random.maybe { .random(using: &$0) })
    }
}

extension NFS3.Access.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(object: .random(using: &random), access: NFS3.AccessRights(rawValue: random.edgy()))
    }
}

extension NFS3.Access.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) },
            access: NFS3.AccessRights(rawValue: random.edgy()))
    }
}

extension NFS3.Readlink.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(symlink: .random(using: &random))
    }
}

extension NFS3.Readlink.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(attributes: random.maybe { .random(using: &$0) }, data: .random(using: &random))
    }
}

extension NFS3.Read.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(file: .random(using: &random), offset: random.edgy(), count: random.edgy())
    }
}

extension NFS3.Write.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            wcc: .random(using: &random), count: random.edgy(), committed: .random(using: &random),
            verifier: random.edgy())
    }
}

extension NFS3.Create.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(location: .random(using: &random), how: .random(using: &random))
    }
}

extension NFS3.Mkdir.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(location: .random(using: &random), attributes: .random(using: &random))
    }
}

extension NFS3.Symlink.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            location: .random(using: &random), attributes: .random(using: &random),
            data: .random(using: &random))
    }
}

extension NFS3.Mknod.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(location: .random(using: &random), what: .random(using: &random))
    }
}

extension NFS3.Remove.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(object: .random(using: &random))
    }
}

extension NFS3.Rmdir.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(object: .random(using: &random))
    }
}

extension NFS3.Rename.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(from: .random(using: &random), to: .random(using: &random))
    }
}

extension NFS3.Rename.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(fromDirectory: .random(using: &random), toDirectory: .random(using: &random))
    }
}

extension NFS3.Link.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(file: .random(using: &random), link: .random(using: &random))
    }
}

extension NFS3.Link.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(attributes: random.maybe { .random(using: &$0) }, directory: .random(using: &random))
    }
}

extension NFS3.Readdir.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            directory: .random(using: &random), cookie: random.edgy(),
            cookieVerifier: random.edgy(), count: random.edgy())
    }
}

extension NFS3.Readdirplus.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            directory: .random(using: &random), cookie: random.edgy(),
            cookieVerifier: random.edgy(), dircount: random.edgy(), maxcount: random.edgy())
    }
}

extension NFS3.Fsstat.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(fsroot: .random(using: &random))
    }
}

extension NFS3.Fsstat.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) }, tbytes: random.edgy(),
            fbytes: random.edgy(), abytes: random.edgy(), tfiles: random.edgy(),
            ffiles: random.edgy(), afiles: random.edgy(), invarsec: random.edgy())
    }
}

extension NFS3.Fsinfo.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(fsroot: .random(using: &random))
    }
}

extension NFS3.Fsinfo.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) }, rtmax: random.edgy(),
            rtpref: random.edgy(), rtmult: random.edgy(), wtmax: random.edgy(),
            wtpref: random.edgy(), wtmult: random.edgy(), dtpref: random.edgy(),
            maxfilesize: random.edgy(), timeDelta: .random(using: &random),
            properties: NFS3.Fsinfo.Properties(rawValue: random.edgy()))
    }
}

extension NFS3.Pathconf.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(object: .random(using: &random))
    }
}

extension NFS3.Pathconf.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) }, linkmax: random.edgy(),
            nameMax: random.edgy(), noTrunc: .random(using: &random),
            chownRestricted: .random(using: &random), caseInsensitive: .random(using: &random),
            casePreserving: .random(using: &random))
    }
}

extension NFS3.Commit.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(file: .random(using: &random), offset: random.edgy(), count: random.edgy())
    }
}

extension NFS3.Commit.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(wcc: .random(using: &random), verifier: random.edgy())
    }
}

extension NFS3.Read.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        let count = Int.random(in: 0...70, using: &random)
        return Self(
            attributes: random.maybe { .random(using: &$0) }, count: UInt32(count),
            eof: .random(using: &random), data: 0..<count)
    }

    public var payload: Range<Int>? {
        get { data }
        set { data = newValue ?? 0..<0 }
    }
}

extension NFS3.Write.Arguments: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        let count = Int.random(in: 0...70, using: &random)
        return Self(
            file: .random(using: &random), offset: random.edgy(), count: UInt32(count),
            stable: .random(using: &random), data: 0..<count)
    }

    public var payload: Range<Int>? {
        get { data }
        set { data = newValue ?? 0..<0 }
    }
}

extension NFS3.Readdir.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) }, cookieVerifier: random.edgy(),
            entries: random.list {
                NFS3.Readdir.Entry(
                    fileid: $0.edgy(), name: .random(using: &$0), cookie: $0.edgy())
            }, eof: .random(using: &random))
    }
}

extension NFS3.Readdirplus.Success: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            attributes: random.maybe { .random(using: &$0) }, cookieVerifier: random.edgy(),
            entries: random.list {
                NFS3.Readdirplus.Entry(
                    fileid: $0.edgy(), name: .random(using: &$0), cookie: $0.edgy(),
                    attributes: $0.maybe { .random(using: &$0) },
                    handle: $0.maybe { .random(using: &$0) })
            }, eof: .random(using: &random))
    }
}

extension NFS3.Outcome: Wire where OK: Wire, Failure: Wire {
    public static func random(using random: inout SeededGenerator) -> Self {
        guard Bool.random(using: &random) else { return .ok(.random(using: &random)) }
        return .failure(.randomFailure(using: &random), .random(using: &random))
    }

    public var payload: Range<Int>? {
        get {
            guard case .ok(let ok) = self else { return nil }
            return ok.payload
        }
        set {
            guard case .ok(var ok) = self else { return }
            ok.payload = newValue
            self = .ok(ok)
        }
    }
}
