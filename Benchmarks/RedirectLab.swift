enum RedirectLab {
    static func measure(_ settings: Settings, into report: Report) async throws {}
}
enum RedirectCase: String, CaseIterable { case firstWrite; var name: String { rawValue } }
