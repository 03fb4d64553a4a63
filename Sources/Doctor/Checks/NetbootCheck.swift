import Foundation
import Netboot

/// What machines that boot need besides an image.
enum NetbootCheck {
    static func findings(_ surroundings: Surroundings) -> [Finding] {
        [program(surroundings)] + loaders(surroundings)
    }

    private static func program(_ surroundings: Surroundings) -> Finding {
        if let path = surroundings.program("dnsmasq") {
            return .fine(.netboot, path, "dnsmasq is there")
        }
        return .problem(
            .netboot, "dnsmasq", "this machine has no dnsmasq",
            because: "machines get no address, and are not told what to boot",
            remedy: "apt install dnsmasq-base, or have another DHCP server tell them: --no-dhcp")
    }

    private static func loaders(_ surroundings: Surroundings) -> [Finding] {
        LoaderFiles.loaders.map { name in
            let path = "\(surroundings.loaderFolder)/\(name)"
            if FileManager.default.isReadableFile(atPath: path) {
                return .fine(.netboot, path, "the loader is there")
            }
            return .warning(
                .netboot, path, "there is no such loader",
                because: "only machines whose firmware is iPXE boot without it",
                remedy: "apt install ipxe")
        }
    }
}
