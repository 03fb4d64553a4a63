import Dispatch
import Glibc

/// Signals as events. From when it is made, they no longer end the process by themselves.
struct Signals {
    private let sources: [any DispatchSourceSignal]
    private let stream: AsyncStream<Int32>

    init(_ numbers: [Int32]) {
        let (stream, continuation) = AsyncStream<Int32>.makeStream()
        self.stream = stream
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return source
        }
    }

    /// Waits for one of them.
    func next() async {
        for await _ in stream { return }
    }
}

func flushStandardOutput() {
    fflush(nil)
}
