// swift-tools-version:6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every target is built alike: Swift 6 mode, memory safety checked, warnings are errors.
let settings: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")

/// A layer of the engine: what it may import is its `dependencies`, and `tools/tidy` checks that.
func layer(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A program of less than 60 lines that shows one thing; `tools/run-examples` talks to each.
func example(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: "\(name)Example",
        dependencies: ["Spindle"] + dependencies,
        path: "Sources/Examples/\(name)",
        exclude: ["README.md"],
        swiftSettings: settings
    )
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
    name: "spindle",
    products: [
        .library(name: "Spindle", targets: ["Spindle"]),
        .library(name: "SpindleDeferred", targets: ["SpindleDeferred"]),
        .library(name: "SpindleProtocols", targets: ["SpindleProtocols"]),
        .library(name: "SpindleService", targets: ["SpindleService"]),
        .library(name: "SpindleSimulation", targets: ["SpindleSimulation"]),
        .library(name: "SpindleTesting", targets: ["SpindleTesting"]),
        .library(name: "SpindleTopology", targets: ["SpindleTopology"]),
        .library(name: "SpindleCLI", targets: ["SpindleCLI"]),
        .executable(name: "spindle", targets: ["SpindleMain"]),
    ],
    traits: [
        .trait(name: "NUMA", description: "Places each reactor's memory on its own node with libnuma."),
        .default(enabledTraits: ["NUMA"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "CTasks"),
        .target(name: "CNUMA", linkerSettings: [.linkedLibrary("numa", .when(traits: ["NUMA"]))]),
        // Lifetimes: `ByteChunk.bytes` is a Span that borrows the chunk, which 6.3 can't yet say without it.
        .target(name: "SpindleCore", swiftSettings: settings + [.enableExperimentalFeature("Lifetimes")]),
        layer(
            "SpindleSystem",
            ["CLinux", "CTasks", "SpindleCore", .target(name: "CNUMA", condition: .when(traits: ["NUMA"]))]
        ),
        layer("SpindleTopology"),
        layer("SpindleReactor", ["SpindleCore", "SpindleSystem"]),
        layer("SpindleSimulation", ["SpindleCore", "SpindleSystem", "SpindleReactor"]),
        layer("Spindle", ["SpindleCore", "SpindleSystem", "SpindleTopology", "SpindleReactor", logging]),
        layer(
            "SpindleService",
            [
                "Spindle", "SpindleSystem", "SpindleTopology", lifecycle, logging, configuration, yaml,
            ]
        ),
        layer("SpindleProtocols", ["SpindleCore", "SpindleSystem", "SpindleReactor"]),
        layer("SpindleDeferred", ["SpindleCore", "SpindleReactor"]),
        layer(
            "SpindleTesting",
            ["SpindleCore", "SpindleSystem", "SpindleReactor", "SpindleSimulation", "Spindle"]
        ),
        layer("SpindleLoad", ["Spindle", histogram]),
        layer(
            "SpindleCLI",
            [
                "Spindle", "SpindleLoad", "SpindleProtocols", "SpindleService", "SpindleTopology", "SpindleSystem",
                argumentParser,
                configuration, systemPackage, logging, histogram, subprocess,
            ]
        ),
        // The `spindle` command as it comes; a program with plugins is made in the same way.
        .executableTarget(name: "SpindleMain", dependencies: ["SpindleCLI"], swiftSettings: settings),
        example("Echo"),
        example("AsyncEcho"),
        example("Chat", ["SpindleProtocols"]),
        example("KeyValue", ["SpindleProtocols"]),
        example("Periodic"),
        example("Primes", ["SpindleProtocols"]),
        example("ServiceGroup", ["SpindleService", lifecycle, signals, logging]),
        example("Greeter"),
        example("Plugin", ["SpindleCLI"]),
        example("TimeServer"),
        example("Gopher", ["SpindleProtocols"]),
        tests("ExampleTests", ["GreeterExample", "SpindleTesting"]),
        tests(
            "SpindleServiceTests",
            ["SpindleService", "Spindle", "SpindleSystem", lifecycle, logging, configuration]
        ),
        tests("SpindleCoreTests", ["SpindleCore"]),
        .target(name: "CSandbox", path: "Tests/CSandbox"),
        tests("SpindleSystemTests", ["SpindleSystem", "SpindleCore", "CSandbox"]),
        tests("SpindleTopologyTests", ["SpindleTopology"], resources: [.copy("Fixtures")]),
        tests("SpindleReactorTests", ["SpindleReactor", "SpindleSimulation", "SpindleCore", "SpindleSystem"]),
        tests(
            "SpindleTests",
            [
                "Spindle", "SpindleCore", "SpindleSystem", "SpindleReactor", "SpindleSimulation", "SpindleTopology",
                "SpindleTesting", "CSandbox", logging,
            ]
        ),
        // The operations that Benchmarks counts, which is a package of its own, once each and tiny.
        .target(
            name: "OperationsUnderTest",
            dependencies: ["Spindle", "SpindleSimulation"],
            path: "Benchmarks/Sources/Operations",
            swiftSettings: settings
        ),
        tests("OperationsTests", ["OperationsUnderTest", "Spindle"]),
        tests("SpindleDeferredTests", ["SpindleDeferred", "SpindleSystem", "SpindleTesting"]),
        tests("SpindleProtocolsTests", ["SpindleProtocols", "SpindleTesting", "Spindle"]),
        tests("SpindleTestingTests", ["SpindleTesting", "Spindle"]),
        // Whole simulated runs: hunted by `make sim`, and 200 of them by the tests.
        .target(
            name: "Simulations",
            dependencies: ["SpindleCore", "SpindleReactor", "SpindleSimulation"],
            path: "Tests/Simulations",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "SimulationHunt",
            dependencies: ["Simulations"],
            path: "Tests/SimulationHunt",
            swiftSettings: settings
        ),
        tests("SimulationsTests", ["Simulations", "SpindleReactor"]),
        tests("SpindleLoadTests", ["SpindleLoad", "Spindle", histogram]),
        tests(
            "SpindleCLITests",
            ["SpindleCLI", "SpindleLoad", "SpindleService", "SpindleSystem", "SpindleTopology", "Spindle"]
        ),
    ],
    swiftLanguageModes: [.v6]
)

// `make tsan` and `make asan` build what they look at: the engine. Everything else takes as long again.
if Context.environment["SPINDLE_ENGINE_ONLY"] != nil {
    package.targets.removeAll { target in
        ["SpindleCLI", "SpindleMain", "SpindleLoad", "Example", "SimulationHunt", "Service"].contains {
            target.name.contains($0)
        }
    }
    package.products.removeAll { ["spindle", "SpindleCLI", "SpindleService"].contains($0.name) }
}
