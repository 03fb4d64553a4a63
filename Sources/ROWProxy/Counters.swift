import NFSProtocol

/// What was done, counted on the loop.
final class Counters {
    private(set) var client = [Int](repeating: 0, count: NFS3.Procedure.allCases.count)
    private(set) var main = [Int](repeating: 0, count: NFS3.Procedure.allCases.count)
    /// How long those that were answered took. Added to for each call, on the loop, where nobody else is meanwhile.
    @exclusivity(unchecked) var clientTimes = ProcedureTimes()
    /// Of main's servers; a directory of this machine has none.
    var mainTimes = ProcedureTimes()
    /// Calls to main that no client was the cause of: whether it is there, and still the same.
    var mainChecks = 0
    var bytesFromMain = 0
    var bytesToClient = 0
    /// Of main's bytes that clients read, those that were kept here.
    var bytesFromCache = 0
    var bytesFromClient = 0
    /// Retries answered from the reply cache.
    var replayed = 0
    /// Retries of calls that were still being worked on.
    var dropped = 0

    func count(_ procedure: NFS3.Procedure) { client[Int(procedure.rawValue)] += 1 }

    func countMain(_ procedure: NFS3.Procedure) { main[Int(procedure.rawValue)] += 1 }

    /// Calls of clients that move data.
    var dataCalls: Int {
        client[Int(NFS3.Procedure.read.rawValue)] + client[Int(NFS3.Procedure.write.rawValue)]
    }

    /// Calls of clients that change something.
    var changes: Int {
        NFS3.Procedure.allCases.reduce(0) { sum, procedure in
            switch procedure {
            case .setattr, .write, .create, .mkdir, .symlink, .mknod, .remove, .rmdir, .rename,
                .link:
                sum + client[Int(procedure.rawValue)]
            case .null, .getattr, .lookup, .access, .readlink, .read, .readdir, .readdirplus,
                .fsstat,
                .fsinfo, .pathconf, .commit:
                sum
            }
        }
    }

    /// Takes in what a session's clients did that is no longer served.
    func keep(_ session: Counters) {
        for index in client.indices { client[index] += session.client[index] }
        clientTimes.merge(session.clientTimes)
        bytesToClient += session.bytesToClient
        bytesFromClient += session.bytesFromClient
    }

    static func byName(_ counts: [Int]) -> [String: Int] {
        var named: [String: Int] = [:]
        for procedure in NFS3.Procedure.allCases where counts[Int(procedure.rawValue)] > 0 {
            named[procedure.name] = counts[Int(procedure.rawValue)]
        }
        return named
    }
}
