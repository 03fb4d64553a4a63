// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
let tls: [Target.Dependency] = [
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
    .product(name: "NIOTLS", package: "swift-nio"),
]

/// A program without any shared library (`make static`). Debian's static libtirpc wants a GSS library that
/// there is none of, so it does without registration at rpcbind.
let isStatic = Context.environment["ROWFS_STATIC"] != nil
let tirpc: [Target.Dependency] = isStatic ? [] : ["CTirpc"]

/// What feeds parsers with random bytes (`make fuzz`) needs a library that only such a build links.
let fuzzing: [Target] =
    Context.environment["ROWFS_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "XDR", "ONCRPC", "NFSProtocol", "NFSClient", "ROWCore", "ROWProxy",
                "ROWSettings", "Catalogue", "ROWTestKit", system,
            ] + nio, path: "Tests/Fuzz", exclude: ["Corpora", "Planted"], swiftSettings: settings)
    ]

let package = Package(
    name: "rowfs",
    products: [
        .library(name: "ROWCore", targets: ["ROWCore", "NFSProtocol"]),
        .library(name: "NFSClient", targets: ["NFSClient", "NFSProtocol"]),
        .library(name: "ROWRemote", targets: ["ROWRemote", "ROWCore", "NFSClient", "NFSProtocol"]),
        .executable(name: "rowctl", targets: ["rowctl"]),
        .executable(name: "rowctl-dht", targets: ["rowctl-dht"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.36.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        // Only `make docs` builds it.
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        .target(name: "XDR", swiftSettings: settings),
        .target(name: "ONCRPC", dependencies: ["XDR"], swiftSettings: settings),
        .target(name: "NFSProtocol", dependencies: ["XDR"], swiftSettings: settings),
        .target(name: "CLinux"),
        .systemLibrary(
            name: "CTirpc", pkgConfig: "libtirpc", providers: [.apt(["libtirpc-dev"])]),
        .target(
            name: "ROWCore",
            dependencies: [
                "XDR", "NFSProtocol", "CLinux", system,
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings),
        .target(
            name: "NFSClient",
            dependencies: ["XDR", "ONCRPC", "NFSProtocol", "CLinux"] + nio + tls,
            swiftSettings: settings),
        .target(
            name: "ROWRemote",
            dependencies: [
                "ONCRPC", "NFSProtocol", "NFSClient", "ROWCore",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "ROWProxy",
            dependencies: [
                "XDR", "ONCRPC", "NFSProtocol", "NFSClient", "ROWCore", "CLinux", system,
            ]
                + nio + tls + tirpc,
            swiftSettings: settings),
        .target(name: "Supervision", dependencies: ["CLinux"], swiftSettings: settings),
        .target(
            name: "Netboot",
            dependencies: [
                "CLinux", "Supervision", system, .product(name: "NIOHTTP1", package: "swift-nio"),
            ] + nio, swiftSettings: settings),
        .target(
            name: "Catalogue",
            dependencies: [
                "XDR", "ROWCore", "NFSClient", "CLinux", "Supervision", system,
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings),
        // GPL-3.0-or-later with what it links: see Sources/rowctl-dht/NOTICE.md.
        .target(
            name: "COpenDHT",
            linkerSettings: [.linkedLibrary("opendht-c"), .linkedLibrary("opendht")]),
        .executableTarget(
            name: "rowctl-dht", dependencies: ["COpenDHT"], exclude: ["NOTICE.md"],
            swiftSettings: settings),
        .target(name: "ROWReport", dependencies: ["ROWProxy"], swiftSettings: settings),
        .target(
            name: "Console",
            dependencies: ["ROWProxy", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings),
        .target(
            name: "ROWStatus",
            dependencies: [
                "ROWProxy", "ROWReport", system, .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ] + nio, swiftSettings: settings),
        .target(
            name: "ROWSettings",
            dependencies: [
                "Console", "ROWProxy", .product(name: "Logging", package: "swift-log"), "NFSClient",
                system, .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: settings),
        .target(
            name: "Doctor",
            dependencies: [
                "ROWSettings", "ROWProxy", "ROWCore", "Netboot", "NFSClient", "NFSProtocol",
                "ONCRPC", "CLinux", system,
            ] + nio, swiftSettings: settings),
        .executableTarget(
            name: "rowctl",
            dependencies: [
                "ROWCore", "ROWRemote", "ROWProxy", "ROWReport", "ROWSettings", "ROWStatus",
                "Netboot", "Catalogue", "NFSClient", "CLinux", "Doctor", "Console",
                system, .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),

        // Tests and what they stand on.
        .target(
            name: "CConformance", dependencies: ["CTirpc"], path: "Tests/CConformance",
            linkerSettings: [.linkedLibrary("nfs"), .linkedLibrary("tirpc")]),
        .target(
            name: "CodecTestKit", dependencies: ["XDR", "CConformance"],
            path: "Tests/CodecTestKit", swiftSettings: settings),
        .target(
            name: "ROWTestKit",
            dependencies: ["XDR", "ONCRPC", "NFSProtocol", "CLinux", system] + nio,
            path: "Tests/ROWTestKit", swiftSettings: settings),
        .testTarget(
            name: "XDRTests", dependencies: ["XDR", "CodecTestKit"], swiftSettings: settings),
        .testTarget(
            name: "ONCRPCTests", dependencies: ["XDR", "ONCRPC"], swiftSettings: settings),
        .testTarget(
            name: "NFSProtocolTests", dependencies: ["NFSProtocol", "XDR", "CodecTestKit"],
            swiftSettings: settings),
        .testTarget(
            name: "NFSClientTests",
            dependencies: ["XDR", "ONCRPC", "NFSProtocol", "NFSClient", "ROWTestKit"] + nio,
            swiftSettings: settings),
        .testTarget(
            name: "ROWCoreTests",
            dependencies: [
                "ROWCore", "CLinux", "NFSProtocol", system,
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ROWRemoteTests",
            dependencies: [
                "ONCRPC", "NFSProtocol", "NFSClient", "ROWCore", "ROWRemote", "ROWTestKit",
                "example-directory", "example-nfs", "rowctl", system,
            ] + nio, swiftSettings: settings),
        .testTarget(
            name: "ROWProxyTests",
            dependencies: [
                "XDR", "ONCRPC", "NFSProtocol", "NFSClient", "ROWCore", "ROWProxy", "ROWTestKit",
                "rowctl", system, .product(name: "NIOEmbedded", package: "swift-nio"),
            ] + nio + tls, swiftSettings: settings),
        .testTarget(
            name: "ROWReportTests", dependencies: ["ROWProxy", "ROWReport", "ROWTestKit"],
            swiftSettings: settings),
        .testTarget(
            name: "ROWStatusTests",
            dependencies: [
                "NFSClient", "NFSProtocol", "ROWProxy", "ROWStatus", "ROWTestKit", "rowctl", system,
            ] + nio, exclude: ["rules.test.yml"], swiftSettings: settings),
        .testTarget(
            name: "ConsoleTests",
            dependencies: [
                "Console", "ROWProxy", "ROWTestKit", "rowctl",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .testTarget(
            name: "ROWSettingsTests",
            dependencies: [
                "Console", "ROWSettings", "ROWProxy", "NFSClient", system,
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .testTarget(
            name: "DoctorTests",
            dependencies: ["Doctor", "NFSClient", "ROWProxy", "ROWTestKit", "rowctl", system] + nio,
            swiftSettings: settings),
        .testTarget(
            name: "SupervisionTests", dependencies: ["Supervision"], swiftSettings: settings),
        .testTarget(
            name: "CatalogueTests",
            dependencies: [
                "Catalogue", "XDR", "ROWCore", "ROWTestKit", "rowctl", "rowctl-dht", system,
                .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: settings),
        .testTarget(
            name: "NetbootTests",
            dependencies: [
                "Netboot", "ROWTestKit", "rowctl", .product(name: "NIOHTTP1", package: "swift-nio"),
            ] + nio, exclude: ["Programs"], swiftSettings: settings),
        .testTarget(
            name: "IntegrationTests", dependencies: ["ROWTestKit", "rowctl"],
            swiftSettings: settings),

        // Measuring and showing.
        .executableTarget(
            name: "nfsload", path: "Benchmarks/Driver",
            linkerSettings: [.linkedLibrary("nfs")]),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "XDR", "ONCRPC", "NFSProtocol", "ROWCore", "ROWReport", "ROWTestKit", "nfsload",
                "rowctl", system,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Benchmarks", exclude: ["Driver", "Guard/bounds.json"],
            swiftSettings: settings),
        .executableTarget(
            name: "example-directory", dependencies: ["ROWCore", "NFSProtocol", system],
            path: "Examples/EditDirectory", swiftSettings: settings),
        .executableTarget(
            name: "example-nfs",
            dependencies: ["ROWCore", "ROWRemote", "NFSClient", "NFSProtocol", system],
            path: "Examples/EditRemote", swiftSettings: settings),
        .executableTarget(
            name: "rowfs-demo",
            dependencies: ["NFSProtocol", "NFSClient", "ROWTestKit", "rowctl"] + nio,
            path: "Examples/Demo", swiftSettings: settings),
    ] + fuzzing,
    cxxLanguageStandard: .cxx17
)
