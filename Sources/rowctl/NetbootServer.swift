import Foundation
import Glibc
import Logging
import NIOCore
import NIOPosix
import Netboot
import ROWProxy
import SystemPackage

/// All that machines boot from: the proxy, HTTP, and dnsmasq.
enum NetbootServer {
    /// Runs it until a signal asks to end; a second one does not wait for what must be made durable.
    static func run(
        _ configuration: Proxy.Configuration, _ settings: BootSettings, runsDnsmasq: Bool,
        runDirectory: FilePath, use: ApplianceImage.Use?, http: ListenAddress?
    ) async throws {
        let (ends, continuation) = AsyncStream<Void>.makeStream()
        signal(SIGPIPE, SIG_IGN)
        raiseDescriptorLimit()
        let log = Logger(image: settings.image)
        var configuration = configuration
        configuration.onEvent = log.proxyEvents
        let signals = Signals.toEnd { continuation.yield() }
        defer { withExtendedLifetime(signals) {} }
        let proxy = try await Proxy.start(configuration)
        use?.attach(proxy)
        do {
            try await StatusHTTP.show(
                at: http, of: configuration.state, proxies: { [proxy] },
                leases: { [use?.leaseStatus].compactMap(\.self) }
            ) {
                try await serve(proxy, settings, runsDnsmasq, runDirectory) {
                    say(
                        "ready: machines on \(settings.interface) boot /boot/\(settings.image) of "
                            + settings.address)
                    for await _ in ends { return }
                }
            }
        } catch {
            use?.detach()
            try? await proxy.stop()
            throw error
        }
        use?.detach()
        try await proxy.stop()
    }

    private static func serve(
        _ proxy: Proxy, _ settings: BootSettings, _ runsDnsmasq: Bool, _ runDirectory: FilePath,
        _ body: @escaping @Sendable () async -> Void
    ) async throws {
        let files = BootSessionFiles(proxy: proxy, host: settings.address)
        let loaders = try LoaderFiles.prepare(settings)
        for loader in loaders.missing {
            say(
                "there is no \(settings.loaderDirectory)/\(loader): only machines whose firmware has iPXE "
                    + "can boot; install the package ipxe for others")
        }
        let http = try await BootHTTPServer.start(
            host: settings.address, port: settings.httpPort, documents: loaders.documents,
            files: files, admits: { proxy.admits($0) },
            onRequest: { path, address in
                loaded(path, address, "HTTP", proxy)
            }, on: MultiThreadedEventLoopGroup.singleton)
        var dnsmasq: Dnsmasq?
        do {
            if runsDnsmasq {
                let supervisor = try Dnsmasq(settings, runDirectory: runDirectory.string) { event in
                    happened(event, proxy)
                }
                try await supervisor.start()
                dnsmasq = supervisor
            }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask { try await copyKernel(settings, files, proxy) }
                group.addTask {
                    await body()
                    return true
                }
                while try await group.next() == false {}
                group.cancelAll()
            }
        } catch {
            await dnsmasq?.stop()
            await http.stop()
            throw error
        }
        await dnsmasq?.stop()
        await http.stop()
    }

    /// For machines that can fetch it in no other way than by TFTP. Where main is away now, those wait.
    /// - Returns: false.
    /// - Throws: `NetbootError` when there is no kernel in the image: nobody could boot.
    private static func copyKernel(
        _ settings: BootSettings, _ files: BootSessionFiles, _ proxy: Proxy
    ) async throws -> Bool {
        do {
            try await LoaderFiles.copyKernel(settings, from: files, for: settings.address)
        } catch let error as NetbootError where error.code == .missingFile {
            throw error
        } catch  where !Task.isCancelled {
            proxy.report("the kernel is not there for TFTP: \(error)")
        }
        return false
    }

    private static func happened(_ event: Dnsmasq.Event, _ proxy: Proxy) {
        switch event {
        case .line: break
        case .boot(.leased(let card, let address, let hostname)):
            proxy.machineLeased(card: card, address: address, hostname: hostname)
            say("\(card) has the address \(address)")
        case .boot(.sent(let file, let address)): loaded(file, address, "TFTP", proxy)
        case .boot(.failed(let file, let address)):
            say("\(address) did not get \(file) by TFTP")
        case .ended(let reason, let pause):
            proxy.report("dnsmasq ended (\(reason)); it is started again after \(pause)")
        case .restarted: proxy.report("dnsmasq runs again", .notice)
        }
    }

    /// - Parameter path: what a machine gets.
    private static func loaded(_ path: String, _ address: String, _ how: String, _ proxy: Proxy) {
        // What firmware asks for before anything of the image.
        let isFirst = ["boot.ipxe", "undionly.kpxe", "ipxe.efi"].contains(path)
        proxy.machineLoads(at: address, isFirst: isFirst)
        say("\(address) gets \(path) by \(how)")
    }

    private static func say(_ text: String) {
        print(text)
        flushStandardOutput()
    }
}
