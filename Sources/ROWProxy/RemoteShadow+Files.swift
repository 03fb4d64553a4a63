import NFSClient
import NFSProtocol
import NIOCore
import ROWCore

/// The names at the shadow server: the session's directory and the files in it.
extension RemoteShadow: ShadowServer {
    // MARK: The directory

    func prepare(
        mayExist: Bool, then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void
    ) {
        guard !mayExist else {
            list(then)
            return
        }
        withRoot(fail: { then(.failure($0)) }) { root, again in
            let location = NFS3.DirectoryOperation(
                directory: root, name: NFS3.Filename(self.directoryName))
            let attributes = NFS3.SetAttributes(mode: 0o700)
            self.call(
                .mkdir, NFS3.Mkdir.Arguments(location: location, attributes: attributes),
                NFS3.Mkdir.Result.self
            ) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.failure(let status, _)) where status.isLostHandle:
                    if !again() { then(.failure(ShadowFailure(.io))) }
                // An earlier attempt may have made it, and then there is nothing in it.
                case .success(.ok), .success(.failure(.exist, _)): self.listUnused(then)
                case .success(.failure(let status, _)): then(.failure(ShadowFailure(status)))
                }
            }
        }
    }

    private func listUnused(_ then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void) {
        list { result in
            guard case .success(let names) = result, !names.isEmpty else { return then(result) }
            self.onEvent(
                "\(self.directoryName) at the shadow server is in use by another session: "
                    + "make this one anew, under which it gets another directory")
            then(.failure(ShadowFailure(.exist)))
        }
    }

    private func list(_ then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void) {
        withDirectory(fail: { then(.failure($0)) }) { directory, again in
            self.list(directory, cookie: 0, verifier: 0, names: []) { result in
                if case .failure(let failure) = result, failure.status.isLostHandle, again() {
                    return
                }
                then(result)
            }
        }
    }

    private func list(
        _ directory: NFS3.FileHandle, cookie: UInt64, verifier: UInt64, names: [[UInt8]],
        _ then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void
    ) {
        let arguments = NFS3.Readdir.Arguments(
            directory: directory, cookie: cookie, cookieVerifier: verifier, count: 32 << 10)
        call(.readdir, arguments, NFS3.Readdir.Result.self) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(.failure(let status, _)): then(.failure(ShadowFailure(status)))
            case .success(.ok(let page)):
                let all = names + page.entries.map(\.name.bytes).filter { !Self.isDot($0) }
                guard !page.eof else { return then(.success(all)) }
                guard let last = page.entries.last, last.cookie != cookie else {
                    return then(
                        .failure(self.failure(.serverFault, "its listing, which has no end")))
                }
                self.list(
                    directory, cookie: last.cookie, verifier: page.cookieVerifier, names: all, then)
            }
        }
    }

    private static func isDot(_ name: [UInt8]) -> Bool {
        name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")]
    }

    // MARK: Files

    func open(
        _ file: LayerID, size: UInt64, isExpected: Bool,
        then: @escaping (Result<ShadowOpened, ShadowFailure>) -> Void
    ) {
        let found = { (result: Result<Found?, ShadowFailure>) in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(nil):
                self.onEvent("\(file) is missing at the shadow server: its data is lost")
                then(.failure(ShadowFailure(.io)))
            case .success(let found?):
                let opened = ShadowOpened(isNew: !isExpected)
                guard let now = found.size, now > size else { return then(.success(opened)) }
                self.cut(file, to: size) { failure in
                    then(failure.map { .failure($0) } ?? .success(opened))
                }
            }
        }
        if isExpected { find(file, then: found) } else { create(file, found) }
    }

    /// UNCHECKED, so that a call that is sent again does no harm.
    private func create(
        _ file: LayerID, _ then: @escaping (Result<Found?, ShadowFailure>) -> Void
    ) {
        withDirectory(fail: { then(.failure($0)) }) { directory, again in
            let location = NFS3.DirectoryOperation(
                directory: directory, name: NFS3.Filename(file.fileName))
            self.call(
                .create,
                NFS3.Create.Arguments(
                    location: location, how: .unchecked(NFS3.SetAttributes(mode: 0o600))),
                NFS3.Create.Result.self
            ) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(.failure(self.failure(status, "making \(file)")))
                case .success(.ok(let made)):
                    guard let handle = made.handle else { return self.find(file, then: then) }
                    self.remember(handle, of: file)
                    then(.success(Found(handle: handle, size: made.attributes?.size)))
                }
            }
        }
    }

    func cut(_ file: LayerID, to size: UInt64, then: @escaping (ShadowFailure?) -> Void) {
        withHandle(file, fail: then) { handle, again in
            var attributes = NFS3.SetAttributes()
            attributes.size = size
            self.call(
                .setattr,
                NFS3.Setattr.Arguments(object: handle, attributes: attributes, guardTime: nil),
                isPatient: true, NFS3.Setattr.Result.self
            ) { result in
                switch result {
                case .failure(let failure): then(failure)
                case .success(.ok): then(nil)
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(self.failure(status, "cutting \(file)"))
                }
            }
        }
    }

    func commit(
        _ file: LayerID, then: @escaping (Result<ShadowCommitted, ShadowFailure>) -> Void
    ) {
        withHandle(file, fail: { then(.failure($0)) }) { handle, again in
            self.call(
                .commit, NFS3.Commit.Arguments(file: handle, offset: 0, count: 0),
                NFS3.Commit.Result.self
            ) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.ok(let ok)):
                    then(
                        .success(
                            ShadowCommitted(
                                verifier: ok.verifier, allocatedBytes: ok.wcc.after?.used)))
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(.failure(self.failure(status, "COMMIT of \(file)")))
                }
            }
        }
    }

    func remove(_ file: LayerID, then: @escaping (ShadowFailure?) -> Void) {
        handles[file] = nil
        withDirectory(fail: then) { directory, again in
            let location = NFS3.DirectoryOperation(
                directory: directory, name: NFS3.Filename(file.fileName))
            self.call(
                .remove, NFS3.Remove.Arguments(object: location), NFS3.Remove.Result.self
            ) { result in
                switch result {
                // What is left is removed when the session is opened next.
                case .failure(let failure): then(failure)
                case .success(.ok), .success(.failure(.noent, _)): then(nil)
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(self.failure(status, "removing \(file)"))
                }
            }
        }
    }

    /// FSSTAT of the export.
    func space(then: @escaping (Result<NFS3.Fsstat.Success, ShadowFailure>) -> Void) {
        withRoot(fail: { then(.failure($0)) }) { root, again in
            self.call(.fsstat, NFS3.Fsstat.Arguments(fsroot: root), NFS3.Fsstat.Result.self) {
                result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.ok(let ok)): then(.success(ok))
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(.failure(self.failure(status, "its free space")))
                }
            }
        }
    }

    func close() { connection.close() }
}
