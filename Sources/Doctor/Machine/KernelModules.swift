import Foundation

/// Modules that the kernel can load.
public enum KernelModules {
    /// Asks modprobe, which loads nothing.
    public static func has(_ name: String) -> Bool {
        for program in ["/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"]
        where FileManager.default.isExecutableFile(atPath: program) {
            let process = Process()
            process.executableURL = URL(filePath: program)
            process.arguments = ["--dry-run", "--quiet", name]
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return false }
            process.waitUntilExit()
            return process.terminationStatus == 0
        }
        return false
    }
}
