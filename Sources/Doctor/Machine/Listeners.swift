/// Who listens where, as it was when the kernel's tables were read.
struct Listeners {
    /// Those tables change while they are read, which can leave out a socket that was there all the time.
    private static let readingsMaximum = 3

    let processes: ProcessTable
    private let sockets: [ListeningSocket]
    private let surroundings: Surroundings

    init(_ surroundings: Surroundings) {
        self.surroundings = surroundings
        // First, so that whoever has one of them is among the processes.
        sockets = ListeningSocket.all(surroundings)
        processes = ProcessTable(surroundings)
    }

    /// The processes that have a socket, as far as this one may look. When there is none, the tables are read
    /// again before that is believed.
    func holders(where isWanted: (ListeningSocket) -> Bool) -> [ProcessTable.Entry] {
        var read = self
        for _ in 1..<Self.readingsMaximum {
            let holders = read.seen(isWanted)
            guard holders.isEmpty else { return holders }
            read = Listeners(surroundings)
        }
        return read.seen(isWanted)
    }

    private func seen(_ isWanted: (ListeningSocket) -> Bool) -> [ProcessTable.Entry] {
        sockets.filter(isWanted).flatMap(processes.holders)
    }
}
