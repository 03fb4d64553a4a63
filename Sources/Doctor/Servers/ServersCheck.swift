/// Whether images' servers, and those that keep changes, answer as they must.
enum ServersCheck {
    /// All of them at once.
    static func findings(_ plan: Plan, _ surroundings: Surroundings) async -> [Finding] {
        await withTaskGroup(of: (Int, [Finding]).self) { group in
            for (index, image) in plan.images.enumerated() {
                group.addTask { (index, await findings(image, plan, surroundings)) }
            }
            var all: [Int: [Finding]] = [:]
            for await (index, findings) in group { all[index] = findings }
            return plan.images.indices.flatMap { all[$0] ?? [] }
        }
    }

    private static func findings(
        _ image: Plan.Image, _ plan: Plan, _ surroundings: Surroundings
    ) async -> [Finding] {
        if image.source.hasPrefix("appliance://") {
            let found = "its servers are named by the catalogue: 'rowctl appliance resolve' asks it"
            return [.fine(.main, image.source, found)]
        }
        let places =
            image.servers.map { ($0, isShadow: false) }
            + image.shadows.map { ($0, isShadow: true) }
        let each = await withTaskGroup(of: (Int, [Finding]).self) { group in
            for (index, place) in places.enumerated() {
                let examination = ServerExamination(
                    url: place.0, isShadow: place.isShadow, image: image, state: plan.state,
                    surroundings: surroundings)
                group.addTask { (index, await examination.findings()) }
            }
            var each = [[Finding]](repeating: [], count: places.count)
            for await (index, findings) in group { each[index] = findings }
            return each
        }
        return tolerating(each.flatMap(\.self))
    }

    /// Of several servers one is enough.
    private static func tolerating(_ findings: [Finding]) -> [Finding] {
        guard findings.contains(where: { $0.check == .main && $0.severity == .fine }) else {
            return findings
        }
        return findings.map { finding in
            var finding = finding
            if finding.check == .main, finding.severity == .problem { finding.severity = .warning }
            return finding
        }
    }
}
