import NFSProtocol
import Testing

@testable import ROWCore

/// What may be under way to a shadow server at a time.
@Suite struct RemoteFilesTests {
    private let files = RemoteFiles(NoServer())

    private func file(_ number: UInt64) -> LayerID {
        LayerID(node: NodeID(rawValue: number), layer: 0)
    }

    private func maySend(_ number: UInt64, _ bytes: UInt64) -> Bool {
        files.maySend(file(number), 0..<bytes, count: Int(bytes))
    }

    private func begin(_ number: UInt64, _ bytes: UInt64) {
        files.beginWrite(file(number), 0..<bytes, count: Int(bytes))
    }

    private func end(_ number: UInt64, _ bytes: UInt64) {
        files.endWrite(file(number), 0..<bytes, count: Int(bytes))()
    }

    @Test func bytesBeyondTheBoundWaitUntilOthersAreAnswered() {
        begin(1, 32 << 20)
        begin(2, 32 << 20)
        #expect(!maySend(3, 4096))
        var isWoken = false
        _ = files.wait(for: file(3)) { isWoken = true }
        #expect(!isWoken)
        end(1, 32 << 20)
        #expect(isWoken)
        #expect(maySend(3, 32 << 20))
        begin(3, 32 << 20)
        #expect(!maySend(4, 4096))
        // Whoever has been told so and gives up is forgotten.
        let wait = files.wait(for: file(4)) { Issue.record("woken") }
        files.giveUp(wait, for: file(4))
        end(2, 32 << 20)
        end(3, 32 << 20)
        #expect(maySend(4, 4096))
    }

    @Test func aWriteLargerThanTheBoundGoesAlone() {
        #expect(maySend(1, 1 << 30))
        begin(1, 1 << 30)
        #expect(!maySend(2, 4096))
        end(1, 1 << 30)
        #expect(maySend(2, 4096))
    }
}

private final class NoServer: ShadowServer {
    let name = ""
    let url = ""

    func prepare(mayExist: Bool, then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void) {}
    func open(
        _ file: LayerID, size: UInt64, isExpected: Bool,
        then: @escaping (Result<ShadowOpened, ShadowFailure>) -> Void
    ) {}
    func commit(
        _ file: LayerID, then: @escaping (Result<ShadowCommitted, ShadowFailure>) -> Void
    ) {}
    func cut(_ file: LayerID, to size: UInt64, then: @escaping (ShadowFailure?) -> Void) {}
    func remove(_ file: LayerID, then: @escaping (ShadowFailure?) -> Void) {}
}
