import Foundation
import SystemPackage

/// The processes of this machine, and what they have open, as far as this one may look.
struct ProcessTable {
    struct Entry {
        let id: Int
        let program: String
        /// What its descriptors are links to.
        let open: Set<String>
    }

    let processes: [Entry]

    init(_ surroundings: Surroundings) {
        let files = FileManager.default
        let names = (try? files.contentsOfDirectory(atPath: surroundings.proc)) ?? []
        processes = names.compactMap(Int.init).sorted().map { id in
            let folder = "\(surroundings.proc)/\(id)"
            let descriptors = (try? files.contentsOfDirectory(atPath: "\(folder)/fd")) ?? []
            let links = descriptors.compactMap {
                try? files.destinationOfSymbolicLink(atPath: "\(folder)/fd/\($0)")
            }
            let program = surroundings.text("\(folder)/comm") ?? ""
            return Entry(
                id: id, program: program.trimmingCharacters(in: .newlines), open: Set(links))
        }
    }

    func holders(of socket: ListeningSocket) -> [Entry] {
        processes.filter { $0.open.contains("socket:[\(socket.inode)]") }
    }

    /// The process of rowctl that has files of a state directory open.
    func serving(_ state: FilePath) -> Entry? {
        let prefix = (Paths.resolved(state.string) ?? state.string) + "/"
        return processes.first { process in
            process.program == "rowctl" && process.open.contains { $0.hasPrefix(prefix) }
        }
    }
}
