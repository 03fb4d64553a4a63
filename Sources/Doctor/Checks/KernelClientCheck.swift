/// Whether this machine can mount what it serves.
enum KernelClientCheck {
    static func findings(_ surroundings: Surroundings) -> [Finding] {
        [client(surroundings), program(surroundings)]
    }

    private static func client(_ surroundings: Surroundings) -> Finding {
        let path = "\(surroundings.proc)/filesystems"
        let types = (surroundings.text(path) ?? "").split(separator: "\n")
        if types.contains(where: { $0.split(separator: "\t").last == "nfs" }) {
            return .fine(.kernelClient, path, "the kernel has the NFS client")
        }
        if surroundings.hasModule("nfsv3") {
            return .fine(.kernelClient, path, "the kernel can load the NFS client")
        }
        return .warning(
            .kernelClient, path, "this kernel has no NFS client, and no module of it",
            because: "'rowctl mount' cannot mount here; clients elsewhere can",
            remedy: "boot a kernel that has it (Debian: apt install linux-image-amd64), or "
                + "mount on other machines: rowctl serve --listen ADDRESS:PORT --allow CLIENT")
    }

    private static func program(_ surroundings: Surroundings) -> Finding {
        if let path = surroundings.program("mount.nfs") {
            return .fine(.mountProgram, path, "mount(8) can mount NFS")
        }
        return .warning(
            .mountProgram, "mount.nfs", "this machine has no mount.nfs",
            because: "the mount commands that 'rowctl serve' prints do not work here; "
                + "'rowctl mount' does",
            remedy: "apt install nfs-common")
    }
}
