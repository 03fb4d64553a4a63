/// One thing that is wrong with a session on disk: what, where, and what a repair does about it.
public struct SessionFinding: Sendable, Hashable, Codable {
    public enum Severity: String, Sendable, Codable {
        /// The session is not as its transactions left it.
        case damage
        /// What a crash may leave, or what is none of the session's own: the next use gets by.
        case note
    }

    /// What kind of thing it is; the names are an interface for other programs and stay.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case databaseMissing, databaseEmpty, notADatabase, databaseTruncated, databaseDamaged
        case schemaDamaged, newerSchema, repairCutOff
        case identityMissing, identityMalformed, counterTooLow
        case rowDamaged, unknownLayer
        case badType, badMode, badSize, badTime, badFlags, badLinkText
        case contentWithoutNode, contentMissing, wrongBlockCount
        case mainValidTooLarge, presenceDamaged, presenceBeyondEnd
        case partialDamaged, partialRecordedTwice, partialOutOfOrder
        case shadowMissing, shadowTooShort, shadowTooLong, shadowOrphan, shadowForeign
        case entryWithoutNode, entryWithoutDirectory, entryOfRemoved, nodeWithoutName, badName
        case directoryNamedTwice, directoryCycle, wrongParent, wrongLinkCount, badCookie
        case replyMalformed
        case imageMissing, imageOfAnotherEpoch, dataElsewhere
    }

    public let kind: Kind
    public let severity: Severity
    /// A file below the session's directory, or an object by its id.
    public let object: String
    /// What is wrong, for people.
    public let problem: String
    /// What a repair does, or what people can do where it can do nothing.
    public let repair: String

    init(
        _ kind: Kind, _ object: String, _ problem: String, repair: String,
        severity: Severity = .damage
    ) {
        self.kind = kind
        self.severity = severity
        self.object = object
        self.problem = problem
        self.repair = repair
    }
}

extension SessionFinding: CustomStringConvertible {
    /// One line.
    public var description: String {
        let mark = severity == .note ? "note: " : ""
        return "\(mark)\(kind.rawValue) \(object): \(problem); \(repair)"
    }
}
