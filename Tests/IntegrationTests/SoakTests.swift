import Foundation
import Glibc
import NFSClient
import ROWTestKit
import Testing

extension Integration {
    /// A session that works for long, with all that happens to one: two kinds of clients that change and
    /// read files, a cache that is too small, snapshots, and a proxy that is ended and killed.
    @Suite struct SoakTests {
        @Test func aSessionThatWorksForLongStaysAsItWas() async throws {
            let soak = try await Soak()
            print("soak of \(Soak.seconds) s: \(soak.seed)")
            let guest = try await soak.startGuest()
            let writer = try await soak.startLibnfs()
            let reading = Task { try await soak.readMain() }
            let sampling = Task { try await soak.sample() }
            var failure: (any Error)?
            do { try await soak.operate(while: [guest.child, writer]) } catch { failure = error }
            sampling.cancel()
            reading.cancel()
            soak.finish()
            #expect(failure == nil, "\(soak)")

            let result = try await guest.result()
            let tail = result.output.suffix(2000)
            #expect(result.exitCode == 0, "\(tail) \(result.diagnostics) \(soak)")
            let status = try await writer.terminate(within: .seconds(60))
            #expect(status == .exited(0), "\(writer.output.suffix(2000)) \(writer.errors) \(soak)")
            let copies = try await reading.value
            let samples = try await sampling.value
            print("\(copies) files of main read by nfs-cat; \(samples)")
            #expect(copies > 0)
            #expect(samples.cacheMaximum <= Soak.cacheBytes, "\(soak)")
            if Soak.seconds >= 120 { #expect(samples.growth == [], "\(soak)") }
            try await soak.expectRightBytes(["kernel": result.output, "libnfs": writer.output])
            try await soak.expectCleanEnd()
        }
    }
}
