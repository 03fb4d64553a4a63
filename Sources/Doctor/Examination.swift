/// Looks at everything that could keep rowfs from working.
public enum Examination {
    /// - Returns: in the order of the checks; those of servers last. No wait for one answer is longer than the
    ///   surroundings' patience.
    public static func findings(
        _ plan: Plan, _ surroundings: Surroundings = Surroundings()
    ) async -> [Finding] {
        let listeners = Listeners(surroundings)
        async let mapper = PortMapperCheck.findings(plan, surroundings, listeners)
        async let servers = ServersCheck.findings(plan, surroundings)
        async let overlays = OverlayCheck.findings(plan, surroundings)
        let here = [
            KernelClientCheck.findings(surroundings),
            plan.configurationFindings,
            RightsCheck.findings(plan),
            CertificateCheck.findings(surroundings),
            SpaceCheck.findings(plan),
            FileSystemCheck.findings(plan, surroundings),
            DescriptorCheck.findings(plan, surroundings, listeners.processes),
            ClockCheck.findings(surroundings),
            PortsCheck.findings(plan, listeners),
            plan.bootsMachines ? NetbootCheck.findings(surroundings) : [],
        ].flatMap(\.self)
        return await here + mapper + overlays + servers
    }
}
