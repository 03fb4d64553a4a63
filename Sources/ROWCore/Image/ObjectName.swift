extension [UInt8] {
    /// Whether an object can have this name: 1...255 bytes without slash and NUL, not `.` or `..`.
    public var canNameObject: Bool {
        (1...255).contains(count) && !contains { $0 == 0 || $0 == UInt8(ascii: "/") }
            && !(count <= 2 && allSatisfy { $0 == UInt8(ascii: ".") })
    }
}
