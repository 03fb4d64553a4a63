public import XDR

extension RPC {
    /// The fields of a call message (RFC 5531 §9, call_body).
    public struct CallHeader: Hashable, Sendable {
        public var xid: UInt32
        public var program: UInt32
        public var version: UInt32
        public var procedure: UInt32
        public var credential: Credential
        /// Where the arguments start, in bytes from the start of the record.
        public var argumentsOffset: Int

        @inlinable
        public init(
            xid: UInt32, program: UInt32, version: UInt32, procedure: UInt32,
            credential: Credential, argumentsOffset: Int
        ) {
            self.xid = xid
            self.program = program
            self.version = version
            self.procedure = procedure
            self.credential = credential
            self.argumentsOffset = argumentsOffset
        }
    }

    /// What a server makes of a record.
    public enum ParsedCall: Hashable, Sendable {
        case call(CallHeader)
        /// A call that must be answered with this.
        case reject(xid: UInt32, Rejection)
        /// Not a call, or one cut short: nothing can be answered, so close the connection.
        case notACall
    }

    /// Reads the header of a call (RFC 5531 §9). Never allocates.
    /// - Parameter record: one whole record without its record mark.
    @inlinable
    public static func parseCall(_ record: RawSpan) -> ParsedCall {
        var decoder = Decoder(record)
        do throws(XDRError) {
            let xid = try decoder.decodeUInt32()
            guard try decoder.decodeUInt32() == MessageType.call else { return .notACall }
            guard try decoder.decodeUInt32() == version else {
                return .reject(xid: xid, .rpcMismatch(low: version, high: version))
            }
            let program = try decoder.decodeUInt32()
            let programVersion = try decoder.decodeUInt32()
            let procedure = try decoder.decodeUInt32()
            let flavor = try decoder.decodeUInt32()
            guard let body = try opaqueBody(&decoder) else {
                return .reject(xid: xid, .authError(AuthStatus.badCredential))
            }
            // The verifier of AUTH_NONE and AUTH_SYS says nothing: only its length matters.
            _ = try decoder.decodeUInt32()
            guard try opaqueBody(&decoder) != nil else {
                return .reject(xid: xid, .authError(AuthStatus.badVerifier))
            }
            let credential: Credential
            switch flavor {
            case Flavor.none:
                credential = .none
            case Flavor.sys:
                guard let parameters = parseAuthSys(record.extracting(body)) else {
                    return .reject(xid: xid, .authError(AuthStatus.badCredential))
                }
                credential = .sys(parameters)
            case Flavor.tls where procedure != 0 || !body.isEmpty:
                // RFC 9289 §4.1.
                return .reject(xid: xid, .authError(AuthStatus.badCredential))
            case _ where procedure == 0:
                // NULL asks for no authentication, by convention (RFC 1813 §3.3.0).
                credential = .other(flavor: flavor)
            default:
                // A well-formed credential of a flavor we do not take is not "bad": AUTH_TOOWEAK
                // tells the client to choose another flavor rather than to repair this one.
                return .reject(xid: xid, .authError(AuthStatus.tooWeak))
            }
            return .call(
                CallHeader(
                    xid: xid, program: program, version: programVersion, procedure: procedure,
                    credential: credential, argumentsOffset: decoder.offset))
        } catch {
            return .notACall
        }
    }

    /// - Returns: nil when the body is longer than the protocol allows.
    @_lifetime(decoder: copy decoder)
    @usableFromInline
    static func opaqueBody(_ decoder: inout Decoder) throws(XDRError) -> Range<Int>? {
        do throws(XDRError) {
            return try decoder.decodeOpaqueRange(maximum: authenticationBodySizeMaximum)
        } catch {
            guard error.code == .tooLong else { throw error }
            return nil
        }
    }

    @usableFromInline
    static func parseAuthSys(_ body: RawSpan) -> AuthSys? {
        var decoder = Decoder(body)
        do throws(XDRError) {
            let parameters = try AuthSys(from: &decoder)
            try decoder.finish()
            return parameters
        } catch {
            return nil
        }
    }

    /// The bytes that ``encodeCall(xid:program:version:procedure:credential:into:)`` appends.
    @inlinable
    public static func callHeaderSize(_ credential: Credential) -> Int {
        24 + credential.encodedSize + 8
    }

    /// Appends the header of a call; the arguments follow it. The verifier is AUTH_NONE.
    @inlinable
    public static func encodeCall(
        xid: UInt32, program: UInt32, version programVersion: UInt32, procedure: UInt32,
        credential: Credential, into output: inout OutputRawSpan
    ) {
        output.encode(xid)
        output.encode(MessageType.call)
        output.encode(version)
        output.encode(program)
        output.encode(programVersion)
        output.encode(procedure)
        credential.encode(into: &output)
        output.encode(Flavor.none)
        output.encode(UInt32(0))
    }
}
