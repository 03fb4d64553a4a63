/// What iPXE does: it fetches kernel and initial file system and starts them.
///
/// By HTTP first, and then by NFS: both give what the machine's own session has, which may have been upgraded,
/// and HTTP is what every iPXE can and the fastest. By TFTP last, where the image's own are.
public struct BootScript: Sendable, Hashable {
    /// What goes into the file.
    public let text: String

    public init(_ settings: BootSettings) {
        let address = settings.address
        let http = "http://\(address):\(settings.httpPort)"
        let nfs = "nfs://\(address)/boot/\(settings.image)"
        let ways = [
            ("HTTP", "\(http)/\(settings.kernel)", "\(http)/\(settings.initrd)"),
            ("NFS", "\(nfs)/\(settings.kernel)", "\(nfs)/\(settings.initrd)"),
            (
                "TFTP", "tftp://\(address)/\(LoaderFiles.kernel)",
                "tftp://\(address)/\(LoaderFiles.initrd)"
            ),
        ]
        // The address goes along: to ask for it again costs seconds. BOOTIF says which card it is for.
        let arguments = [
            "initrd=initrd.img", "root=/dev/nfs",
            "nfsroot=\(address):/boot/\(settings.image),nfsvers=3,tcp,nolock", "rw",
            "ip=${netX/ip}::${netX/gateway}:${netX/netmask}:${hostname}::off",
            "BOOTIF=01-${netX/mac:hexhyp}", settings.commandLine,
        ].filter { !$0.isEmpty }.joined(separator: " ")

        var lines = ["#!ipxe", ":again"]
        for (name, kernel, initrd) in ways {
            lines += [
                "echo The image \(settings.image) of \(address) by \(name)",
                "imgfree",
                "kernel \(kernel) \(arguments) && initrd --name initrd.img \(initrd) && boot ||",
            ]
        }
        lines += [
            "echo Cannot boot the image \(settings.image) of \(address); is the proxy running there?",
            "echo Trying again in 10 seconds; press a key for a shell, and type exit to leave it",
            "prompt --timeout 10000 && shell ||",
            "goto again",
        ]
        text = lines.map { $0 + "\n" }.joined()
    }
}
