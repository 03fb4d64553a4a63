public import NFSClient

/// The servers of an image, as they are written.
extension Proxy.Image {
    /// `nfs://host[:port]/export[?mountport=N]`, or several such with commas between them.
    /// - Throws: ``NFSClientError`` that says which is wrong, or ``ConfigurationError``.
    public static func servers(parsing text: String) throws -> Proxy.Image {
        var urls: [NFSURL] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            do throws(NFSClientError) {
                urls.append(try NFSURL(String(part)))
            } catch {
                guard text.contains(",") else { throw error }
                throw NFSClientError(
                    error.code,
                    "\(error). Commas separate servers that have the same tree; one in a path is "
                        + "written %2C")
            }
        }
        let image = Proxy.Image.servers(urls)
        try image.check()
        return image
    }

    /// What ``servers(parsing:)`` makes the same of.
    public static func text(of servers: [NFSURL]) -> String {
        servers.map(\.description).joined(separator: ",")
    }

    func check() throws(ConfigurationError) {
        guard let urls else { return }
        guard !urls.isEmpty else {
            throw ConfigurationError(message: "an image needs a server: nfs://host/export")
        }
        var seen: Set<String> = []
        for url in urls where !seen.insert(Proxy.canonicalName(of: url)).inserted {
            throw ConfigurationError(message: "\(url) is given twice: name each server once")
        }
    }
}
