import ROWProxy

/// How many files and connections a process may have open.
enum DescriptorCheck {
    private static let wanted = 65536
    private static let comfortable = 4096
    private static let minimum = 256

    static func findings(
        _ plan: Plan, _ surroundings: Surroundings, _ processes: ProcessTable
    ) -> [Finding] {
        let serving = processes.serving(plan.state.path)
        let process = serving.map { "\($0.id)" } ?? "self"
        let path = "\(surroundings.proc)/\(process)/limits"
        guard let (limit, hard) = limits(surroundings.text(path) ?? "") else { return [] }
        let found = "a process may have \(limit) files and connections open"
        let remedy = "ulimit -n \(min(wanted, hard)), or in the unit: LimitNOFILE=\(wanted)"
        if limit < minimum {
            return [
                .problem(
                    .descriptors, path, found, because: "clients are turned away soon",
                    remedy: remedy)
            ]
        }
        if limit < comfortable {
            return [
                .warning(
                    .descriptors, path, found,
                    because:
                        "each port takes up to 1024 connections, besides files that are in use",
                    remedy: remedy)
            ]
        }
        return [.fine(.descriptors, path, found)]
    }

    /// `Max open files  SOFT  HARD  files`
    private static func limits(_ text: String) -> (soft: Int, hard: Int)? {
        let line = text.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        let numbers = (line ?? "").split(separator: " ").dropFirst(3).prefix(2).compactMap {
            $0 == "unlimited" ? .max : Int($0)
        }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}
