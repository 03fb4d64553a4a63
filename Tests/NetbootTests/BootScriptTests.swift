import Testing

@testable import Netboot

@Suite struct BootScriptTests {
    @Test func triesHTTPThenNFSThenTFTPAndBeginsAgain() throws {
        let root = """
            initrd=initrd.img root=/dev/nfs nfsroot=10.77.3.1:/boot/debian-12,nfsvers=3,tcp,nolock rw \
            ip=${netX/ip}::${netX/gateway}:${netX/netmask}:${hostname}::off BOOTIF=01-${netX/mac:hexhyp} \
            console=ttyS0
            """
        let commands = """
            #!ipxe
            :again
            imgfree
            kernel http://10.77.3.1:8080/boot/vmlinuz \(root) && \
            initrd --name initrd.img http://10.77.3.1:8080/boot/initrd.img && boot ||
            imgfree
            kernel nfs://10.77.3.1/boot/debian-12/boot/vmlinuz \(root) && \
            initrd --name initrd.img nfs://10.77.3.1/boot/debian-12/boot/initrd.img && boot ||
            imgfree
            kernel tftp://10.77.3.1/vmlinuz \(root) && \
            initrd --name initrd.img tftp://10.77.3.1/initrd.img && boot ||
            prompt --timeout 10000 && shell ||
            goto again
            """
        let script = BootScript(try settings(commandLine: "console=ttyS0")).text
        let lines = script.split(separator: "\n").filter { !$0.hasPrefix("echo ") }
        #expect(lines == commands.split(separator: "\n"))
    }

    @Test func takesKernelAndInitialFileSystemFromWhereTheyAreInTheImage() throws {
        let script = BootScript(try settings(kernel: "vmlinuz.old", initrd: "efi/ramdisk")).text
        #expect(script.contains("http://10.77.3.1:8080/vmlinuz.old "))
        #expect(script.contains("nfs://10.77.3.1/boot/debian-12/efi/ramdisk "))
    }
}
