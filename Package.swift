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

let package = Package(
    name: "rowfs",
    products: [
        .library(name: "XDR", targets: ["XDR"]),
    ],
    targets: [
        .target(name: "XDR", swiftSettings: settings),
        .target(name: "NFSProtocol", dependencies: ["XDR"], swiftSettings: settings),
    ]
)
