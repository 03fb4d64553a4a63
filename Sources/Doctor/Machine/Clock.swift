import CLinux

/// The system's clock.
public enum Clock {
    /// Whether something keeps it right; nil where the kernel does not say.
    public static var isSynchronized: Bool? {
        let code = clinux_clock_is_synchronized()
        return code < 0 ? nil : code == 1
    }
}
