import Dispatch
import Glibc

/// Signals as events. From when it is made, they no longer end the process by themselves.
struct Signals {
    private let sources: [any DispatchSourceSignal]

    init(_ numbers: [Int32], _ handler: @escaping @Sendable () -> Void) {
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: handler)
            source.resume()
            return source
        }
    }
}

func flushStandardOutput() {
    fflush(nil)
}
