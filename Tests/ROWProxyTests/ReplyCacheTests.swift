import ROWCore
import Testing

@testable import ROWProxy

/// Replies are kept by count: so many of a client, of so many clients.
@Suite struct ReplyCacheTests {
    private func reply(client: Int, xid: UInt32) -> StoredReply {
        StoredReply(
            client: [UInt8(client >> 8), UInt8(client & 255)], xid: xid, procedure: 8, checksum: 1,
            body: [1, 2, 3])
    }

    @Test func theClientThatIsQuietForLongestIsForgottenWhenThereAreTooMany() {
        let cache = ReplyCache()
        var forgotten: [ReplyCache.Owner] = []
        cache.onForget = { forgotten.append($0) }
        cache.load((0..<ReplyCache.clientsMaximum).map { reply(client: $0, xid: 1) }, session: 7)
        #expect(forgotten == [])
        // The first is heard of once more, so it is the second that has been quiet.
        cache.load([reply(client: 0, xid: 2), reply(client: 5000, xid: 1)], session: 7)
        #expect(forgotten == [ReplyCache.Owner(client: [0, 1], session: 7)])
    }
}
