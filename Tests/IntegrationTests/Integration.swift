import Testing

/// The tests with real clients and servers. One at a time: each has a guest that wants a processor.
@Suite(.serialized, .timeLimit(.minutes(20)))
enum Integration {}
