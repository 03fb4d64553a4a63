internal import Foundation
internal import ROWProxy

/// A status as metrics for Prometheus. Names, labels and units are an interface and stay.
enum Metrics {
    static func text(_ status: ServiceStatus) -> String {
        var text = MetricsText()
        addCalls(status.images, &text)
        addBytes(status.images, &text)
        addServers(status.images, &text)
        addCaches(status.images, &text)
        addManifests(status.images, &text)
        addSessions(status.images, &text)
        addLeases(status, &text)
        addProcess(status, &text)
        return text.text
    }

    // MARK: Calls

    /// Bounds of buckets: powers of two of microseconds, from 8 µs to 33.5 s.
    private static let powers = 3...25

    private static func addCalls(_ images: [ImageStatus], _ text: inout MetricsText) {
        text.family(
            "rowfs_rpc_total", .counter,
            "Calls by procedure: of clients, to the image's servers, and to where sessions keep their data."
        ) { family in
            for image in images {
                let sides = [
                    ("client", image.calls.client), ("main", image.calls.main),
                    ("shadow", image.calls.shadow),
                ]
                for (side, counts) in sides {
                    for (procedure, count) in counts.sorted(by: { $0.key < $1.key }) {
                        family.add(
                            ["image": image.image, "proc": procedure, "side": side], count)
                    }
                }
            }
        }
        text.family(
            "rowfs_rpc_seconds", .histogram, "How long calls took that were answered."
        ) { family in
            for image in images {
                for times in image.times {
                    let histogram = times.histogram
                    family.add(
                        ["image": image.image, "proc": times.procedure, "side": times.side],
                        counts: powers.map {
                            (Double(1 << $0) / 1e6, histogram.count(upToMicroseconds: $0))
                        },
                        sum: Double(histogram.sumNanoseconds) / 1e9, count: histogram.count)
                }
            }
        }
        add(
            "rowfs_main_checks_total", .counter, "Calls that look whether a server is still there.",
            of: images, &text
        ) { $0.calls.mainChecks }
    }

    /// A metric with one figure for each image that has it.
    private static func add(
        _ name: String, _ kind: MetricsText.Kind, _ help: String, of images: [ImageStatus],
        _ text: inout MetricsText, _ figure: (ImageStatus) -> Int?
    ) {
        text.family(name, kind, help) { family in
            for image in images {
                if let figure = figure(image) { family.add(["image": image.image], figure) }
            }
        }
    }

    // MARK: Bytes

    private static func addBytes(_ images: [ImageStatus], _ text: inout MetricsText) {
        add(
            "rowfs_client_sent_bytes_total", .counter, "Data of files sent to clients.",
            of: images, &text
        ) { $0.bytes.toClient }
        add(
            "rowfs_client_received_bytes_total", .counter, "Data of files received of clients.",
            of: images, &text
        ) { $0.bytes.fromClient }
        add(
            "rowfs_main_received_bytes_total", .counter,
            "Data of files fetched from where the image is.", of: images, &text
        ) {
            $0.bytes.fromMain
        }
        add(
            "rowfs_cache_hit_bytes_total", .counter,
            "Data of files that clients read and that was kept here.", of: images, &text
        ) {
            $0.bytes.cacheHit
        }
    }

    // MARK: Servers of images

    private static func addServers(_ images: [ImageStatus], _ text: inout MetricsText) {
        let servers = images.flatMap { image in image.main.map { (image.image, $0) } }
        text.family(
            "rowfs_main_up", .gauge, "Whether a server of an image can be asked."
        ) { family in
            for (image, server) in servers {
                family.add(["image": image, "server": server.server], server.isUp)
            }
        }
        text.family(
            "rowfs_main_active", .gauge, "Whether a server of an image is the one that is asked."
        ) { family in
            for (image, server) in servers {
                family.add(["image": image, "server": server.server], server.isActive)
            }
        }
        text.family(
            "rowfs_main_round_trip_seconds", .gauge, "How long a small call to a server takes."
        ) { family in
            for (image, server) in servers {
                guard let time = server.roundTripMS else { continue }
                family.add(["image": image, "server": server.server], time / 1000)
            }
        }
    }

    // MARK: What is kept of images

    private static func addCaches(_ images: [ImageStatus], _ text: inout MetricsText) {
        add(
            "rowfs_cache_bytes", .gauge, "Storage that what is kept of an image takes up.",
            of: images, &text
        ) { $0.cache.map { Int(clamping: $0.used) } }
        add("rowfs_cache_limit_bytes", .gauge, "Storage that it may take up.", of: images, &text) {
            $0.cache.map { Int(clamping: $0.limit) }
        }
        add(
            "rowfs_cache_files", .gauge, "Files of the image of which something is kept.",
            of: images, &text
        ) { $0.cache?.files }
        add(
            "rowfs_cache_filled_blocks_total", .counter, "Blocks that were kept.",
            of: images, &text
        ) { $0.cache?.filledBlocks }
        add(
            "rowfs_cache_evicted_blocks_total", .counter, "Blocks that were given up for others.",
            of: images, &text
        ) { $0.cache?.evictedBlocks }
        add(
            "rowfs_cache_damaged_total", .counter,
            "Blocks and files that were found not to be what was kept.", of: images, &text
        ) {
            $0.cache?.damaged
        }
    }

    private static func addManifests(_ images: [ImageStatus], _ text: inout MetricsText) {
        add(
            "rowfs_manifest_usable", .gauge, "Whether the manifest of an image can be believed.",
            of: images, &text
        ) { $0.manifest.map { $0.state == "unusable" ? 0 : 1 } }
        add(
            "rowfs_manifest_verified_blocks_total", .counter,
            "Blocks of the image that were compared with its manifest.", of: images, &text
        ) {
            $0.manifest?.verified
        }
        add(
            "rowfs_manifest_wrong_blocks_total", .counter, "Those of them that were not right.",
            of: images, &text
        ) { $0.manifest?.wrong }
        add(
            "rowfs_manifest_copied_bytes_total", .counter,
            "Data had from another image on this machine instead of being fetched.", of: images,
            &text
        ) { $0.manifest?.copiedBytes }
    }

    // MARK: Sessions

    private static func addSessions(_ images: [ImageStatus], _ text: inout MetricsText) {
        add("rowfs_sessions", .gauge, "Sessions that are served.", of: images, &text) {
            $0.sessions.count
        }
        let sessions = images.flatMap(\.sessions)
        let figures: [(name: String, help: String, figure: (SessionStatus) -> Double?)] = [
            (
                "rowfs_shadow_bytes", "Storage that the changed data of a session takes up.",
                { Double($0.bytes.shadowStored) }
            ),
            (
                "rowfs_session_changed_files", "Files of a session that have changed data.",
                { Double($0.changed.files) }
            ),
            (
                "rowfs_session_nodes", "Objects of a session that are in memory.",
                { Double($0.handles) }
            ),
            (
                "rowfs_session_uptime_seconds", "How long a session has been served.",
                { $0.uptimeSeconds }
            ),
            (
                "rowfs_session_last_call_timestamp_seconds",
                "When clients of a session were heard last.",
                { $0.lastSeen }
            ),
            (
                "rowfs_shadow_server_up",
                "Whether the server that keeps a session's data can be asked.",
                { $0.shadow.map { $0.isUp ? 1 : 0 } }
            ),
        ]
        for (name, help, figure) in figures {
            text.family(name, .gauge, help) { family in
                for session in sessions {
                    guard let value = figure(session) else { continue }
                    family.add(["session": session.session], value)
                }
            }
        }
        text.family(
            "rowfs_machines", .gauge, "Machines that boot from an image, by how far they have come."
        ) { family in
            for image in images {
                let stages = Dictionary(grouping: image.machines, by: \.stage)
                for (stage, machines) in stages.sorted(by: { $0.key < $1.key }) {
                    family.add(["image": image.image, "stage": stage], machines.count)
                }
            }
        }
    }

    // MARK: Leases

    private static func addLeases(_ status: ServiceStatus, _ text: inout MetricsText) {
        text.family(
            "rowfs_image_leases", .gauge,
            "Versions of appliances on which there is a lease that has not run out."
        ) { family in
            family.add(status.leases.count { ($0.expires ?? 0) > status.time })
        }
        text.family(
            "rowfs_image_lease_expiry_timestamp_seconds", .gauge,
            "When a lease runs out unless it is renewed; 0 when it was never had."
        ) { family in
            for lease in status.leases { family.add(["image": lease.image], lease.expires ?? 0) }
        }
        text.family(
            "rowfs_image_lease_failing", .gauge, "Whether the last renewal of a lease failed."
        ) { family in
            for lease in status.leases {
                family.add(["image": lease.image], lease.lastError != nil)
            }
        }
    }

    // MARK: The process

    private static func addProcess(_ status: ServiceStatus, _ text: inout MetricsText) {
        text.family("rowfs_build_info", .gauge, "The version, as a label; always 1.") {
            $0.add(["version": status.version], 1)
        }
        text.family(
            "rowfs_images_silent", .gauge, "Images whose event loop does not answer in 3 s."
        ) { $0.add(status.silentImages) }
        text.family(
            "rowfs_state_disk_bytes", .gauge, "Size of the file system of the state directory."
        ) { family in
            if let disk = status.disk { family.add(disk.sizeBytes) }
        }
        text.family(
            "rowfs_state_disk_available_bytes", .gauge, "Room that there is on it."
        ) { family in
            if let disk = status.disk { family.add(disk.availableBytes) }
        }
        text.family("process_cpu_seconds_total", .counter, "Processor time that was used.") {
            $0.add(status.process.cpuSeconds)
        }
        text.family("process_resident_memory_bytes", .gauge, "Memory that is used.") {
            $0.add(status.process.memoryBytes)
        }
    }
}

extension SessionStatus.Main {
    /// Whether it can be asked.
    var isUp: Bool { ["local", "connected"].contains(state) }
}

extension ImageStatus {
    /// Those that have sessions, and others.
    var machines: [SessionStatus.Machine] {
        sessions.compactMap(\.machine) + machinesWithoutSession
    }
}
