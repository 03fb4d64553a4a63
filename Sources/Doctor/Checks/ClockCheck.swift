import Foundation

/// Whether the clock can be right.
enum ClockCheck {
    private static let yearMinimum = 2025

    static func findings(_ surroundings: Surroundings) -> [Finding] {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let year = calendar.component(.year, from: surroundings.now)
        let found = surroundings.now.formatted(.iso8601)
        guard year >= yearMinimum else {
            return [
                .problem(
                    .clock, "this machine", "it says \(found)",
                    because: "changed files get wrong times, and signed records of catalogues are "
                        + "not valid yet",
                    remedy: "timedatectl set-ntp true, or: date -u -s TIME")
            ]
        }
        guard surroundings.isClockSynchronized == false else {
            return [.fine(.clock, "this machine", "it says \(found)")]
        }
        return [
            .warning(
                .clock, "this machine", "nothing keeps it right (it says \(found))",
                because: "programs such as make compare times of files with those of servers",
                remedy: "apt install systemd-timesyncd && timedatectl set-ntp true")
        ]
    }
}
