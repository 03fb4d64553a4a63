import Testing

@testable import ROWProxy

/// Which server is asked, decided without any.
@Suite struct ReplicaSetTests {
    private static let millisecond: Int64 = 1_000_000

    /// Servers that are ready, with these round trips in milliseconds.
    private func ready(_ roundTrips: Int64...) -> ReplicaSet {
        var servers = ReplicaSet(count: roundTrips.count)
        for (index, time) in roundTrips.enumerated() {
            servers.set(.ready, of: index)
            servers.measured(time * Self.millisecond, at: index, isBusy: false)
        }
        return servers
    }

    @Test func nobodyIsAskedUntilOneIsReady() {
        var servers = ReplicaSet(count: 2)
        #expect(servers.choose() == nil)
        for state in [ReplicaSet.State.connecting, .checking, .refused] {
            servers.set(state, of: 0)
            #expect(servers.choose() == nil)
        }
        servers.set(.ready, of: 1)
        #expect(servers.choose() == 1 && servers.active == 1)
        // One that comes later does not take over for nothing.
        servers.set(.ready, of: 0)
        #expect(servers.choose() == 1)
    }

    @Test func whenOneIsLostTheFastestOfTheOthersIsAsked() {
        var servers = ready(1, 9, 4)
        #expect(servers.active == 0)
        servers.set(.disconnected, of: 0)
        #expect(servers.active == 2)
        servers.set(.refused, of: 2)
        #expect(servers.active == 1)
        #expect(servers.hasReady(besides: 0) && !servers.hasReady(besides: 1))
        servers.set(.disconnected, of: 1)
        #expect(servers.active == nil && servers.choose() == nil)
    }

    @Test func aCallGoesToEachOnce() {
        let servers = ready(5, 1, 9)
        #expect(servers.choose() == 0)
        #expect(servers.choose(excluding: [0]) == 1)
        #expect(servers.choose(excluding: [0, 1]) == 2)
        #expect(servers.choose(excluding: [0, 1, 2]) == nil)
    }

    @Test func oneThatStaysMuchFasterTakesOver() {
        var servers = ready(20, 1)
        #expect(servers.active == 0)
        for _ in 1..<ReplicaSet.roundsUntilChange {
            servers.endRound()
            #expect(servers.active == 0)
        }
        servers.endRound()
        #expect(servers.active == 1)
    }

    @Test func aShortDisturbanceChangesNothing() {
        var servers = ready(2, 2)
        for _ in 0..<100 {
            for _ in 1..<ReplicaSet.roundsUntilChange {
                servers.measured(50 * Self.millisecond, at: 0, isBusy: false)
                servers.endRound()
            }
            for _ in 0..<20 { servers.measured(2 * Self.millisecond, at: 0, isBusy: false) }
            servers.endRound()
            #expect(servers.active == 0)
        }
    }

    @Test func smallDifferencesChangeNothing() {
        var servers = ready(3, 2)
        for _ in 0..<20 { servers.endRound() }
        #expect(servers.active == 0)
        var near = ReplicaSet(count: 2)
        for (index, time) in [Int64(300_000), 20_000].enumerated() {
            near.set(.ready, of: index)
            near.measured(time, at: index, isBusy: false)
        }
        for _ in 0..<20 { near.endRound() }
        #expect(near.active == 0)
    }

    @Test func whoIsBusyIsNotSlowForThat() {
        var servers = ready(2, 2)
        for _ in 0..<20 {
            servers.measured(90 * Self.millisecond, at: 0, isBusy: true)
            servers.endRound()
        }
        #expect(servers.active == 0)
        servers.measured(1 * Self.millisecond, at: 0, isBusy: true)
        #expect(servers.members[0].roundTrip ?? .max < 2 * Self.millisecond)
    }

    @Test func whatWasMeasuredIsForgottenWithTheConnection() {
        var servers = ready(1, 5)
        servers.set(.disconnected, of: 0)
        #expect(servers.members[0].roundTrip == nil)
        servers.measured(1, at: 0, isBusy: false)
        #expect(servers.members[0].roundTrip == nil)
        servers.set(.ready, of: 0)
        servers.measured(Self.millisecond, at: 0, isBusy: false)
        #expect(servers.active == 1)
        for _ in 0..<ReplicaSet.roundsUntilChange { servers.endRound() }
        #expect(servers.active == 0)
    }
}
