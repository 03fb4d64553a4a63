import NIOCore

/// Until when an answer of a server is waited for, and on whose behalf.
struct Deadline {
    let time: NIODeadline
    /// Whether the call only finds out what the server is good for: counted apart from those that clients
    /// are the cause of.
    var isCheck = false

    static func after(_ amount: TimeAmount, isCheck: Bool = false) -> Deadline {
        Deadline(time: .now() + amount, isCheck: isCheck)
    }
}
