import Foundation

/// One parser, or several that belong together, and what must hold whatever bytes they are given.
protocol FuzzTarget: AnyObject {
    /// Inputs to begin with: some of everything that is understood.
    func seeds() throws -> [[UInt8]]

    /// Ends the process when something does not hold.
    func take(_ bytes: [UInt8])
}

/// What must hold. Not `precondition`, whose message an optimized build leaves out.
func must(_ condition: Bool, _ message: @autoclosure () -> String) {
    guard !condition else { return }
    FileHandle.standardError.write(Data("does not hold: \(message())\n".utf8))
    abort()
}

/// For the beginning, when nothing else runs.
func waiting<Value: Sendable>(
    for work: @escaping @Sendable () async throws -> Value
) throws -> Value {
    nonisolated(unsafe) var outcome: Result<Value, any Error>?
    let done = DispatchSemaphore(value: 0)
    Task {
        do { outcome = .success(try await work()) } catch { outcome = .failure(error) }
        done.signal()
    }
    done.wait()
    guard let outcome else { preconditionFailure("it was not set") }
    return try outcome.get()
}

/// Takes an input apart.
struct Input {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func all() -> [UInt8] { bytes(rest.count) }
}
