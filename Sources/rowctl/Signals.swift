import Dispatch
import Glibc
import Synchronization

/// Signals as events. From when it is made, they no longer end the process by themselves. A SIGHUP that
/// whoever started this had it ignore (nohup) stays ignored.
struct Signals {
    private let sources: [any DispatchSourceSignal]

    init(_ numbers: [Int32], _ handler: @escaping @Sendable () -> Void) {
        sources = numbers.compactMap { number -> (any DispatchSourceSignal)? in
            // As numbers: functions cannot be compared.
            let earlier = unsafeBitCast(signal(number, SIG_IGN), to: Int.self)
            let ignored = unsafeBitCast(SIG_IGN, to: Int.self)
            if number == SIGHUP && earlier == ignored { return nil }
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: handler)
            source.resume()
            return source
        }
    }
}

extension Signals {
    /// What asks a server to end. The second time is not waited for.
    static func toEnd(
        _ numbers: [Int32] = [SIGTERM, SIGINT, SIGHUP], _ handler: @escaping @Sendable () -> Void
    ) -> Signals {
        let isAsked = Mutex(false)
        return Signals(numbers) {
            let isSecond = isAsked.withLock { asked in
                defer { asked = true }
                return asked
            }
            if isSecond { _exit(EXIT_FAILURE) }
            handler()
        }
    }
}

func flushStandardOutput() {
    fflush(nil)
}

/// Does something that ends when its task is cancelled, until a signal asks to end, or it ends by itself.
func untilSignal(_ body: @escaping @Sendable () async throws -> Void) async throws {
    let work = Task { try await body() }
    let signals = Signals.toEnd { work.cancel() }
    defer { withExtendedLifetime(signals) {} }
    do { try await work.value } catch is CancellationError {}
}
