import CodecTestKit
import NFSProtocol

/// Every type that goes over the wire, under the name that libnfs has for it.
enum WireTypes {
    static let all = basics + procedures + mount + portmap

    static let basics: [WireType] = [
        WireType("nfs_fh3", NFS3.FileHandle.self),
        WireType("diropargs3", NFS3.DirectoryOperation.self),
        WireType("fattr3", NFS3.Attributes.self),
        WireType("wcc_attr", NFS3.WCCAttributes.self),
        WireType("wcc_data", NFS3.WCCData.self),
        WireType("sattr3", NFS3.SetAttributes.self),
        WireType("createhow3", NFS3.CreateMode.self),
        WireType("mknoddata3", NFS3.Mknod.Node.self),
        WireType("nfstime3", NFS3.Time.self),
        WireType("specdata3", NFS3.Device.self),
        WireType("ftype3", NFS3.FileType.self),
        WireType("nfsstat3", NFS3.Status.self),
        WireType("stable_how", NFS3.Stability.self),
        WireType("filename3", NFS3.Filename.self),
        WireType("nfspath3", NFS3.Path.self),
        WireType("post_op_attr", NFS3.PostOperationAttributes.self),
    ]

    static let procedures: [WireType] = [
        WireType("GETATTR3args", NFS3.Getattr.Arguments.self),
        WireType("GETATTR3res", NFS3.Getattr.Result.self),
        WireType("SETATTR3args", NFS3.Setattr.Arguments.self),
        WireType("SETATTR3res", NFS3.Setattr.Result.self),
        WireType("LOOKUP3args", NFS3.Lookup.Arguments.self),
        WireType("LOOKUP3res", NFS3.Lookup.Result.self),
        WireType("ACCESS3args", NFS3.Access.Arguments.self),
        WireType("ACCESS3res", NFS3.Access.Result.self),
        WireType("READLINK3args", NFS3.Readlink.Arguments.self),
        WireType("READLINK3res", NFS3.Readlink.Result.self),
        WireType("READ3args", NFS3.Read.Arguments.self),
        WireType("READ3res", NFS3.Read.Result.self),
        WireType("WRITE3args", NFS3.Write.Arguments.self),
        WireType("WRITE3res", NFS3.Write.Result.self),
        WireType("CREATE3args", NFS3.Create.Arguments.self),
        WireType("CREATE3res", NFS3.Create.Result.self),
        WireType("MKDIR3args", NFS3.Mkdir.Arguments.self),
        WireType("MKDIR3res", NFS3.Mkdir.Result.self),
        WireType("SYMLINK3args", NFS3.Symlink.Arguments.self),
        WireType("SYMLINK3res", NFS3.Symlink.Result.self),
        WireType("MKNOD3args", NFS3.Mknod.Arguments.self),
        WireType("MKNOD3res", NFS3.Mknod.Result.self),
        WireType("REMOVE3args", NFS3.Remove.Arguments.self),
        WireType("REMOVE3res", NFS3.Remove.Result.self),
        WireType("RMDIR3args", NFS3.Rmdir.Arguments.self),
        WireType("RMDIR3res", NFS3.Rmdir.Result.self),
        WireType("RENAME3args", NFS3.Rename.Arguments.self),
        WireType("RENAME3res", NFS3.Rename.Result.self),
        WireType("LINK3args", NFS3.Link.Arguments.self),
        WireType("LINK3res", NFS3.Link.Result.self),
        WireType("READDIR3args", NFS3.Readdir.Arguments.self),
        WireType("READDIR3res", NFS3.Readdir.Result.self),
        WireType("READDIRPLUS3args", NFS3.Readdirplus.Arguments.self),
        WireType("READDIRPLUS3res", NFS3.Readdirplus.Result.self),
        WireType("FSSTAT3args", NFS3.Fsstat.Arguments.self),
        WireType("FSSTAT3res", NFS3.Fsstat.Result.self),
        WireType("FSINFO3args", NFS3.Fsinfo.Arguments.self),
        WireType("FSINFO3res", NFS3.Fsinfo.Result.self),
        WireType("PATHCONF3args", NFS3.Pathconf.Arguments.self),
        WireType("PATHCONF3res", NFS3.Pathconf.Result.self),
        WireType("COMMIT3args", NFS3.Commit.Arguments.self),
        WireType("COMMIT3res", NFS3.Commit.Result.self),
    ]

    static let mount: [WireType] = [
        WireType("mountstat3", Mount.Status.self),
        WireType("dirpath", Mount.Mnt.Arguments.self),
        WireType("name", Mount.Name.self),
        WireType("mountres1", Mount.Mnt.ResultVersion1.self),
        WireType("mountres3", Mount.Mnt.Result.self),
        WireType("mountlist", Mount.Dump.Result.self),
        WireType("exports", Mount.Export.Result.self),
    ]

    static let portmap: [WireType] = [
        WireType("pmap2_mapping", Portmap.Mapping.self, in: [.libnfs, .tirpc]),
        WireType("pmap2_dump_result", Portmap.Dump.Result.self, in: [.libnfs, .tirpc]),
        WireType("pmap2_call_args", Portmap.Callit.Arguments.self),
        WireType("pmap2_call_result", Portmap.Callit.Result.self),
        WireType("bool", Portmap.Acceptance.self, in: [.tirpc]),
        WireType("unsigned int", Portmap.Getport.Result.self, in: [.tirpc]),
    ]
}
