import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// A shadow server that fails, lies, is silent or forgets.
@Suite struct ShadowServerFaultTests {
    // MARK: The write verifier

    @Test func aRebootBetweenWriteAndCommitHasTheClientSendAgain() async throws {
        var shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        let written = try await shadow.write(file, "new").success
        #expect(try await shadow.text(file) == "new")
        shadow.server.reboot()
        #expect(try await shadow.client.commit(file, offset: 0, count: 0).status == .jukebox)
        #expect(try await shadow.text(file) == "old")
        let committed = try await shadow.client.commit(file, offset: 0, count: 0).success
        #expect(committed.verifier != written.verifier)
        #expect(try await shadow.events().contains("lost writes"))

        let again = try await shadow.write(file, "new").success
        #expect(again.verifier == committed.verifier)
        _ = try await shadow.client.commit(file, offset: 0, count: 0).success
        shadow = try await shadow.restarted()
        #expect(try await shadow.text(file) == "new")
        try await shadow.stop()
    }

    @Test func aLaterWriteFindsOutThatEarlierOnesAreLost() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        let written = try await shadow.write(file, "new").success
        shadow.server.reboot()
        #expect(try await shadow.write(file, "more", at: 8192).status == .jukebox)
        #expect(try await shadow.text(file) == "old")
        let again = try await shadow.write(file, "more", at: 8192).success
        #expect(again.verifier != written.verifier)
        try await shadow.stop()
    }

    @Test func aStableWriteIsNotAnsweredOKWhenItsDataIsLostBeforeTheCommit() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.reboot, on: .commit)
        #expect(try await shadow.write(file, "new", .fileSync).status == .jukebox)
        #expect(try await shadow.text(file) == "old")
        _ = try await shadow.write(file, "new", .fileSync).success
        #expect(try await shadow.text(file) == "new")
        try await shadow.stop()
    }

    @Test func namesMadeWithLostDataAreMadeAgainAndNotTwice() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        _ = try await shadow.write(file, "new").success
        shadow.server.inject(.reboot, on: .commit)
        // One transaction has both; nothing of it happened.
        async let commit = shadow.client.commit(file, offset: 0, count: 0)
        async let made = shadow.client.mkdir(
            NFS3.Filename("directory2"), in: shadow.served.root, NFS3.SetAttributes(mode: 0o755))
        #expect(try await commit.status == .jukebox)
        if try await made.status == .jukebox {
            _ = try await shadow.client.mkdir(
                NFS3.Filename("directory2"), in: shadow.served.root,
                NFS3.SetAttributes(mode: 0o755)
            ).success
        }
        _ = try await shadow.served.handle("directory2")
        try await shadow.stop()
    }

    // MARK: Refusals

    @Test(arguments: [NFS3.Status.nospc, .dquot, .io, .jukebox])
    func aRefusedWriteChangesNothingAndIsToldAsItIs(_ status: NFS3.Status) async throws {
        let shadow = try await ShadowServed.start()
        let hello = try await shadow.served.handle("hello")
        shadow.server.inject(.refuse(status), on: .write)
        #expect(try await shadow.write(hello, "HELLO").status == status)
        #expect(try await shadow.text(hello) == "hello, world\n")
        _ = try await shadow.write(hello, "HELLO", .fileSync).success
        #expect(try await shadow.text(hello) == "HELLO, world\n")
        try await shadow.stop()
    }

    @Test func aServerWithoutRoomAtCommitFailsThatAndNothingElse() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.refuse(.nospc), on: .commit)
        #expect(try await shadow.write(file, "new", .fileSync).status == .nospc)
        _ = try await shadow.write(file, "NEW", .fileSync).success
        #expect(try await shadow.text(file) == "NEW")
        try await shadow.stop()
    }

    @Test func anythingElseIsIOAndAnEvent() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.refuse(.rofs), on: .write)
        #expect(try await shadow.write(file, "new").status == .io)
        #expect(try await shadow.events().contains("the shadow server answers"))
        try await shadow.stop()
    }

    @Test func aFileThatCannotBeMadeIsToldToWhoWritesIt() async throws {
        let shadow = try await ShadowServed.start()
        let hello = try await shadow.served.handle("hello")
        shadow.server.inject(.refuse(.nospc), on: .create)
        #expect(try await shadow.write(hello, "HELLO").status == .nospc)
        _ = try await shadow.write(hello, "HELLO").success
        #expect(try await shadow.text(hello) == "HELLO, world\n")
        try await shadow.stop()
    }

    // MARK: Short answers

    @Test func shortWritesAreGoneOnWith() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new")
        shadow.server.inject(.shorten(to: 1000), on: .write, times: 3)
        let text = String(repeating: "abcdefgh", count: 1000)
        _ = try await shadow.write(file, text, .fileSync).success
        #expect(shadow.server.calls(.write) == 4)
        #expect(try await shadow.text(file) == text)
        try await shadow.stop()
    }

    @Test func aWriteThatGetsNowhereIsAnError() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.shorten(to: 0), on: .write)
        #expect(try await shadow.write(file, "new").status == .io)
        #expect(try await shadow.text(file) == "old")
        try await shadow.stop()
    }

    // MARK: Handles

    @Test func handlesThatTheServerHasForgottenAreLookedUpAgain() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        shadow.server.reboot(changingHandles: true)
        #expect(try await shadow.text(file) == "old")
        shadow.server.reboot(changingHandles: true)
        _ = try await shadow.write(file, "new", .fileSync).success
        shadow.server.reboot(changingHandles: true)
        _ = try await shadow.client.setattr(file, NFS3.SetAttributes(size: 2)).success
        _ = try await shadow.served.create("more", "text")
        #expect(try await shadow.text(file) == "ne")
        #expect(try shadow.files().count == 2)
        try await shadow.stop()
    }

    @Test func connectionsThatAreLostAndRepliesThatAreDroppedAreNotNoticed() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "old")
        for procedure in [NFS3.Procedure.write, .commit, .read, .create] {
            shadow.server.inject(.disconnect, on: procedure)
        }
        _ = try await shadow.write(file, "new", .fileSync).success
        #expect(try await shadow.text(file) == "new")
        let more = try await shadow.served.create("more", "text")
        #expect(try await shadow.text(more) == "text")
        try await shadow.stop()
    }

    // MARK: Silence

    @Test func aSilentServerIsWaitedForAndMainGoesOn() async throws {
        let shadow = try await ShadowServed.start { $0.mainTimeout = .seconds(1) }
        let file = try await shadow.served.create("new", "old")
        shadow.server.setSilent(true)
        #expect(try await shadow.write(file, "new").status == .jukebox)
        #expect(try await shadow.client.read(file, offset: 0, count: 9).result.status == .jukebox)
        #expect(try await shadow.client.fsstat(shadow.served.root).status == .jukebox)
        let hello = try await shadow.served.handle("hello")
        #expect(try await shadow.text(hello) == "hello, world\n")
        #expect(try await shadow.client.getattr(file).status == .ok)
        shadow.server.setSilent(false)
        _ = try await poll(for: "WRITE", within: .seconds(30)) {
            let result = try await shadow.write(file, "NEW", .fileSync)
            return result.status == .jukebox ? nil : try result.success
        }
        #expect(try await shadow.text(file) == "NEW")
        #expect(try shadow.stored().prefix(3) == Array("NEW".utf8)[...])
        try await shadow.stop()
    }

    @Test func aCallThatALivingServerHasLostIsSentAgain() async throws {
        let shadow = try await ShadowServed.start { $0.mainTimeout = .seconds(1) }
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.drop, on: .write)
        #expect(try await shadow.write(file, "new").status == .jukebox)
        _ = try await poll(for: "WRITE", within: .seconds(30)) {
            let result = try await shadow.write(file, "NEW", .fileSync)
            return result.status == .jukebox ? nil : try result.success
        }
        #expect(try await shadow.text(file) == "NEW")
        // The one that was dropped did come again: the other could not begin before it had ended.
        #expect(shadow.server.calls(.write) >= 4)
        try await shadow.stop()
    }

    @Test func aWriteThatIsAnsweredLateDoesNotUndoALaterOne() async throws {
        let shadow = try await ShadowServed.start { $0.mainTimeout = .seconds(1) }
        let file = try await shadow.served.create("new", "old")
        shadow.server.inject(.hold, on: .write)
        #expect(try await shadow.write(file, "1st").status == .jukebox)
        // Nobody knows what will become of the first one.
        #expect(try await shadow.write(file, "2nd").status == .jukebox)
        shadow.server.release()
        _ = try await poll(for: "WRITE", within: .seconds(30)) {
            let result = try await shadow.write(file, "3rd", .fileSync)
            return result.status == .jukebox ? nil : try result.success
        }
        // The second was never sent; the first may have been sent again by then.
        #expect(shadow.server.distinctCalls(.write) == 3)
        #expect(try await shadow.text(file) == "3rd")
        try await shadow.stop()
    }

    @Test func aCommitThatIsNotAnsweredTakesBackWhatItWasFor() async throws {
        let shadow = try await ShadowServed.start { $0.mainTimeout = .seconds(1) }
        let file = try await shadow.served.create("new", "old")
        let written = try await shadow.write(file, "new").success
        shadow.server.setSilent(true)
        #expect(try await shadow.client.commit(file, offset: 0, count: 0).status == .jukebox)
        shadow.server.setSilent(false)
        let committed = try await shadow.client.commit(file, offset: 0, count: 0).success
        #expect(committed.verifier != written.verifier)
        _ = try await shadow.write(file, "NEW", .fileSync).success
        #expect(try await shadow.text(file) == "NEW")
        try await shadow.stop()
    }
}
