/// Whether images' servers, and those that keep changes, answer as they must.
enum ServersCheck {
    /// All of them at once.
    static func findings(_ plan: Plan, _ surroundings: Surroundings) async -> [Finding] {
        await atOnce(plan.images) { await findings($0, plan, surroundings) }
    }

    private static func findings(
        _ image: Plan.Image, _ plan: Plan, _ surroundings: Surroundings
    ) async -> [Finding] {
        if image.source.hasPrefix("appliance://") {
            let found = "its servers are named by the catalogue: 'rowctl appliance resolve' asks it"
            return [.fine(.main, image.source, found)]
        }
        let examinations = [(image.servers, false), (image.shadows, true)].flatMap {
            urls, isShadow in
            urls.map {
                ServerExamination(
                    url: $0, isShadow: isShadow, image: image, state: plan.state,
                    surroundings: surroundings)
            }
        }
        return tolerating(await atOnce(examinations) { await $0.findings() })
    }

    /// What is found of each, in their order.
    private static func atOnce<Item: Sendable>(
        _ items: [Item], _ examine: @escaping @Sendable (Item) async -> [Finding]
    ) async -> [Finding] {
        await withTaskGroup(of: (Int, [Finding]).self) { group in
            for (index, item) in items.enumerated() {
                group.addTask { (index, await examine(item)) }
            }
            var all: [Int: [Finding]] = [:]
            for await (index, findings) in group { all[index] = findings }
            return items.indices.flatMap { all[$0] ?? [] }
        }
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
