import Glibc
import SystemPackage

extension FilePath {
    /// The path's bytes.
    var bytes: [UInt8] {
        withPlatformString { text in
            UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
        }
    }

    /// - Parameter bytes: without a NUL.
    init(bytes: some Sequence<UInt8>) {
        self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }

    /// The names that lead to the object, from the root on.
    var names: [[UInt8]] { bytes.split(separator: UInt8(ascii: "/")).map(Array.init) }

    /// The directory of the object's name, and the name; the root has none.
    var split: (directory: ArraySlice<[UInt8]>, name: [UInt8])? {
        let names = names
        return names.last.map { (names.dropLast(), $0) }
    }
}
