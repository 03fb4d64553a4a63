import Foundation
import NFSClient
public import ROWProxy
import ROWSettings
import SystemPackage

extension Plan {
    /// What a file of settings says; what is wrong with it becomes findings.
    /// - Parameter state: comes before the file's.
    /// - Parameter variables: of the environment.
    public init(
        configuration file: String, state: StateDirectory?, variables: [String: String] = [:]
    ) {
        self.init(state: state ?? .standard)
        configuration = file
        do {
            let source = try SettingsSource(file: file, variables: variables)
            let settings = try Settings(source)
            if state == nil, let path = settings.state { self.state = StateDirectory(path) }
            http = settings.http
            httpPlace = source.all.first { "\($0.key)" == "http" && $0.texts != nil }?.place
            for session in settings.sessions { try add(session, source) }
            let found = "images: \(images.count), sessions: \(settings.sessions.count)"
            configurationFindings = [.fine(.configuration, file, found)]
        } catch let error as SettingsError {
            configurationFindings = error.problems.map {
                refusal($0.message, at: $0.place)
            }
        } catch {
            configurationFindings = [refusal("\(error)", at: file)]
        }
    }

    private func refusal(_ message: String, at place: String) -> Finding {
        .problem(
            .configuration, place, message, because: "a file with mistakes is not served at all",
            remedy: "change that line; 'rowctl help config' explains every setting")
    }

    private mutating func add(_ session: Settings.Session, _ source: SettingsSource) throws {
        var index = images.firstIndex { $0.name == session.image }
        if index == nil {
            images.append(try image(session.image, session.source, source))
            index = images.count - 1
        }
        guard let index else { return }
        // Of an image that there always is: this one may be away.
        var configuration = Proxy.Configuration(
            image: .directory("/"), session: session.name, state: state)
        session.apply(to: &configuration)
        tls = configuration.tls
        images[index].listen = ListenAddress(host: configuration.host, port: configuration.port)
        images[index].portmap = configuration.portmap.map {
            ListenAddress(host: $0.host ?? configuration.host, port: $0.port)
        }
        images[index].registers = configuration.registers
        images[index].cacheSize = configuration.cacheSize
        images[index].hasProfile = images[index].hasProfile || configuration.profile != nil
        if let shadow = configuration.shadow, !images[index].shadows.contains(shadow) {
            images[index].shadows.append(shadow)
        }
    }

    private func image(
        _ name: String, _ text: String, _ source: SettingsSource
    ) throws -> Image {
        var image = try Image(text)
        image.name = name
        let prefix = "images.\(name)."
        for one in source.all where one.texts != nil && "\(one.key)".hasPrefix(prefix) {
            image.places[String("\(one.key)".dropFirst(prefix.count))] = one.place
        }
        return image
    }
}
