public import NFSProtocol
public import NIOCore
import XDR

/// One method per procedure of RFC 1813 §3.3, named after it. They return what the server answered,
/// statuses included, and throw ``NFSClientError`` or `CancellationError`.
extension NFSClient {
    /// Does nothing but answer (RFC 1813 §3.3.0).
    public func null() async throws {
        _ = try await call(.null, XDRVoid(), returning: XDRVoid.self)
    }

    /// Reads attributes (RFC 1813 §3.3.1).
    public func getattr(_ object: NFS3.FileHandle) async throws -> NFS3.Getattr.Result {
        try await call(.getattr, NFS3.Getattr.Arguments(object: object))
    }

    /// Changes attributes (RFC 1813 §3.3.2).
    /// - Parameter guardTime: the ctime the object must have; nil for any.
    public func setattr(
        _ object: NFS3.FileHandle, _ attributes: NFS3.SetAttributes, guardTime: NFS3.Time? = nil
    ) async throws -> NFS3.Setattr.Result {
        try await call(
            .setattr,
            NFS3.Setattr.Arguments(object: object, attributes: attributes, guardTime: guardTime))
    }

    /// Finds a name in a directory (RFC 1813 §3.3.3).
    public func lookup(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle
    ) async throws -> NFS3.Lookup.Result {
        try await call(.lookup, NFS3.Lookup.Arguments(what: location(name, directory)))
    }

    /// Asks what the caller may do (RFC 1813 §3.3.4).
    public func access(
        _ object: NFS3.FileHandle, _ rights: NFS3.AccessRights
    ) async throws -> NFS3.Access.Result {
        try await call(.access, NFS3.Access.Arguments(object: object, access: rights))
    }

    /// Reads the target of a symbolic link (RFC 1813 §3.3.5).
    public func readlink(_ symlink: NFS3.FileHandle) async throws -> NFS3.Readlink.Result {
        try await call(.readlink, NFS3.Readlink.Arguments(symlink: symlink))
    }

    /// Reads file data (RFC 1813 §3.3.6).
    /// - Parameter count: bytes wanted, 0...rtmax.
    /// - Returns: the result, and the data as a slice of the receive buffer, which it keeps alive;
    ///   empty unless the status is ok. A server may return fewer bytes than it has.
    public func read(
        _ file: NFS3.FileHandle, offset: UInt64, count: UInt32
    ) async throws -> (result: NFS3.Read.Result, data: ByteBuffer) {
        let reply = try await send(
            .read, NFS3.Read.Arguments(file: file, offset: offset, count: count))
        let result = try reply.decode(NFS3.Read.Result.self)
        guard case .ok(let success) = result else { return (result, ByteBuffer()) }
        return (result, reply.slice(success.data))
    }

    /// Writes file data (RFC 1813 §3.3.7).
    /// - Parameter data: its readable bytes, 0...wtmax.
    /// - Parameter stable: how safe the data must be before the reply.
    public func write(
        _ file: NFS3.FileHandle, offset: UInt64, data: ByteBuffer, stable: NFS3.Stability
    ) async throws -> NFS3.Write.Result {
        let arguments = NFS3.Write.Arguments(
            file: file, offset: offset, count: UInt32(data.readableBytes), stable: stable,
            data: 0..<data.readableBytes)
        return try await send(.write, arguments, payload: data).decode()
    }

    /// Makes a regular file (RFC 1813 §3.3.8).
    public func create(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, _ how: NFS3.CreateMode
    ) async throws -> NFS3.Create.Result {
        try await call(
            .create, NFS3.Create.Arguments(location: location(name, directory), how: how))
    }

    /// Makes a directory (RFC 1813 §3.3.9).
    public func mkdir(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, _ attributes: NFS3.SetAttributes
    ) async throws -> NFS3.Mkdir.Result {
        try await call(
            .mkdir,
            NFS3.Mkdir.Arguments(location: location(name, directory), attributes: attributes))
    }

    /// Makes a symbolic link (RFC 1813 §3.3.10).
    public func symlink(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, to target: NFS3.Path,
        _ attributes: NFS3.SetAttributes = NFS3.SetAttributes()
    ) async throws -> NFS3.Symlink.Result {
        try await call(
            .symlink,
            NFS3.Symlink.Arguments(
                location: location(name, directory), attributes: attributes, data: target))
    }

    /// Makes a device, a socket or a fifo (RFC 1813 §3.3.11).
    public func mknod(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, _ node: NFS3.Mknod.Node
    ) async throws -> NFS3.Mknod.Result {
        try await call(
            .mknod, NFS3.Mknod.Arguments(location: location(name, directory), what: node))
    }

    /// Removes a name that is not a directory's (RFC 1813 §3.3.12).
    public func remove(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle
    ) async throws -> NFS3.Remove.Result {
        try await call(.remove, NFS3.Remove.Arguments(object: location(name, directory)))
    }

    /// Removes an empty directory (RFC 1813 §3.3.13).
    public func rmdir(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle
    ) async throws -> NFS3.Rmdir.Result {
        try await call(.rmdir, NFS3.Rmdir.Arguments(object: location(name, directory)))
    }

    /// Renames (RFC 1813 §3.3.14).
    public func rename(
        from: NFS3.DirectoryOperation, to: NFS3.DirectoryOperation
    ) async throws -> NFS3.Rename.Result {
        try await call(.rename, NFS3.Rename.Arguments(from: from, to: to))
    }

    /// Makes a hard link (RFC 1813 §3.3.15).
    public func link(
        _ file: NFS3.FileHandle, as name: NFS3.Filename, in directory: NFS3.FileHandle
    ) async throws -> NFS3.Link.Result {
        try await call(
            .link, NFS3.Link.Arguments(file: file, link: location(name, directory)))
    }

    /// Lists names (RFC 1813 §3.3.16).
    /// - Parameter cookie: of the last entry seen, 0 to start.
    /// - Parameter cookieVerifier: what came with that entry, 0 to start.
    /// - Parameter count: the most bytes of results.
    public func readdir(
        _ directory: NFS3.FileHandle, cookie: UInt64 = 0, cookieVerifier: UInt64 = 0,
        count: UInt32
    ) async throws -> NFS3.Readdir.Result {
        try await call(
            .readdir,
            NFS3.Readdir.Arguments(
                directory: directory, cookie: cookie, cookieVerifier: cookieVerifier, count: count))
    }

    /// Lists names with attributes and handles (RFC 1813 §3.3.17).
    /// - Parameter cookie: of the last entry seen, 0 to start.
    /// - Parameter cookieVerifier: what came with that entry, 0 to start.
    /// - Parameter dircount: the most bytes of names, cookies and fileids.
    /// - Parameter maxcount: the most bytes of results.
    public func readdirplus(
        _ directory: NFS3.FileHandle, cookie: UInt64 = 0, cookieVerifier: UInt64 = 0,
        dircount: UInt32, maxcount: UInt32
    ) async throws -> NFS3.Readdirplus.Result {
        try await call(
            .readdirplus,
            NFS3.Readdirplus.Arguments(
                directory: directory, cookie: cookie, cookieVerifier: cookieVerifier,
                dircount: dircount, maxcount: maxcount))
    }

    /// Space and files that are free (RFC 1813 §3.3.18).
    public func fsstat(_ root: NFS3.FileHandle) async throws -> NFS3.Fsstat.Result {
        try await call(.fsstat, NFS3.Fsstat.Arguments(fsroot: root))
    }

    /// Limits and preferred sizes (RFC 1813 §3.3.19).
    public func fsinfo(_ root: NFS3.FileHandle) async throws -> NFS3.Fsinfo.Result {
        try await call(.fsinfo, NFS3.Fsinfo.Arguments(fsroot: root))
    }

    /// Limits of names and links (RFC 1813 §3.3.20).
    public func pathconf(_ object: NFS3.FileHandle) async throws -> NFS3.Pathconf.Result {
        try await call(.pathconf, NFS3.Pathconf.Arguments(object: object))
    }

    /// Makes unstable writes safe (RFC 1813 §3.3.21).
    /// - Parameter count: bytes from `offset`; 0 for all up to the end of the file.
    public func commit(
        _ file: NFS3.FileHandle, offset: UInt64 = 0, count: UInt32 = 0
    ) async throws -> NFS3.Commit.Result {
        try await call(.commit, NFS3.Commit.Arguments(file: file, offset: offset, count: count))
    }
}

extension NFSClient {
    private func location(
        _ name: NFS3.Filename, _ directory: NFS3.FileHandle
    ) -> NFS3.DirectoryOperation {
        NFS3.DirectoryOperation(directory: directory, name: name)
    }

    private func send<Arguments: XDREncodable & Sendable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, payload: ByteBuffer? = nil
    ) async throws -> RPCReply {
        try await caller.call(
            program: NFS3.program, version: NFS3.version, procedure: procedure.rawValue,
            credential: credential, arguments: arguments, payload: payload, timeout: timeout)
    }

    private func call<Arguments: XDREncodable & Sendable, Results: XDRDecodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments,
        returning _: Results.Type = Results.self
    ) async throws -> Results {
        try await send(procedure, arguments).decode()
    }
}
