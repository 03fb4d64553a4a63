import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// Looks once a second at what the process and its sessions have done, for the sessions' histories.
///
/// Loop-confined.
final class Sampler {
    private let sessions: SessionTable
    private let counters: Counters
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private let usage = ProcessUsage()
    private let freeMemory: FreeMemory
    private var timer: RepeatedTask?
    private var ticks = 0

    private static let interval = TimeAmount.seconds(1)
    /// After so many samples what clients did is written to disk.
    private static let ticksUntilSaved = 60
    /// To add up what a session stores may take a while where that is much: a thousandth of the time.
    private static let storedPause = 1000

    /// - Parameter counters: those of main.
    init(
        sessions: SessionTable, counters: Counters, loop: any EventLoop, pool: NIOThreadPool
    ) {
        self.sessions = sessions
        self.counters = counters
        self.loop = loop
        self.pool = pool
        freeMemory = FreeMemory(loop: loop, pool: pool)
        let bound = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleRepeatedTask(
            initialDelay: Self.interval, delay: Self.interval
        ) { _ in bound.value.tick() }
    }

    func close() { timer?.cancel() }

    /// The history of a session that comes.
    func open(_ directory: FilePath) -> SessionHistory {
        SessionHistory(
            directory: directory, reading: reading(), calls: Counters.byName(counters.main))
    }

    // MARK: Sampling

    private func tick() {
        let reading = reading()
        freeMemory.look(at: reading)
        for session in sessions.all { sample(session, reading) }
        ticks += 1
        guard ticks.isMultiple(of: Self.ticksUntilSaved) else { return }
        for session in sessions.all where session.history.isWorthSaving { save(session) }
    }

    /// What counters of the process and of main have reached.
    private func reading() -> HistorySample {
        var reading = usage.reading()
        reading.mainCalls = counters.main.reduce(0, +)
        reading.fromMainBytes = counters.bytesFromMain
        reading.cacheHitBytes = counters.bytesFromCache
        return reading
    }

    private func sample(_ session: ServedSession, _ process: HistorySample) {
        var reading = process
        reading.clientCalls = session.counters.client.reduce(0, +)
        reading.shadowCalls = session.state.shadowCalls.total
        reading.fromClientBytes = session.counters.bytesFromClient
        reading.toClientBytes = session.counters.bytesToClient
        reading.touchedBytes = session.history.touched.bytes
        reading.storedBytes = stored(session)
        session.look()
        session.history.sample(reading)
    }

    /// Bytes that the shadow takes up, as they were a while ago where they take long to add up.
    private func stored(_ session: ServedSession) -> Int {
        let now = NIODeadline.now()
        if now >= session.history.storedDue {
            session.history.storedBytes = Int(session.state.totals().allocated)
            let time = NIODeadline.now() - now
            session.history.storedDue = now + time * Self.storedPause
        }
        return session.history.storedBytes
    }

    /// Names this moment.
    func mark(_ session: ServedSession, _ text: String, isMount: Bool = false) {
        if isMount, session.history.hasMarkedMount(text) { return }
        sample(session, reading())
        session.history.mark(text, isMount: isMount, calls(of: session))
    }

    private func calls(of session: ServedSession) -> CallCounts {
        CallCounts(
            client: Counters.byName(session.counters.client),
            main: Counters.byName(counters.main), shadow: session.state.shadowCalls.byName)
    }

    // MARK: Saving

    /// Takes a sample and writes all that there is.
    func finish(_ session: ServedSession, then: @escaping () -> Void) {
        sample(session, reading())
        save(session, then: then)
    }

    /// Writes a session's history, off the loop.
    private func save(_ session: ServedSession, then: @escaping () -> Void = {}) {
        let history = session.history
        let saving = history.beginSaving(calls(of: session)) { self.save(session, then: then) }
        guard let (files, withTouched) = saving else { return }
        let directory = history.directory
        let completion = NIOLoopBound(
            { (failure: String?) in
                if let failure { session.events.add("the history cannot be written: \(failure)") }
                history.endSaving()
                then()
            }, eventLoop: loop)
        pool.runIfActive(eventLoop: loop) { () -> String? in
            do {
                try files.write(in: directory, withTouched: withTouched)
                return nil
            } catch {
                return "\(error)"
            }
        }.whenComplete { result in
            switch result {
            case .success(let failure): completion.value(failure)
            case .failure(let error): completion.value("\(error)")
            }
        }
    }
}
