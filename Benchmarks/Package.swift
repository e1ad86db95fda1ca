// swift-tools-version:6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
    name: "spindle-benchmarks",
    dependencies: [
        .package(name: "spindle", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .target(
            name: "Operations",
            dependencies: [
                .product(name: "Spindle", package: "spindle"),
                .product(name: "SpindleSimulation", package: "spindle"),
            ]
        ),
        .executableTarget(
            name: "Times",
            dependencies: [
                "Operations", .product(name: "Benchmark", package: "benchmark"),
                .product(name: "Spindle", package: "spindle"),
            ],
            path: "Benchmarks/Times",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ),
        .target(name: "CFraming", cSettings: [.unsafeFlags(["-O2"])]),
        .executableTarget(
            name: "Micro",
            dependencies: [
                "CFraming", "Operations",
                .product(name: "SpindleProtocols", package: "spindle"),
                .product(name: "Spindle", package: "spindle"),
                .product(name: "SpindleSimulation", package: "spindle"),
            ]
        ),
        .executableTarget(name: "ChunkEcho", dependencies: [.product(name: "Spindle", package: "spindle")]),
        .executableTarget(name: "FileServer", dependencies: [.product(name: "Spindle", package: "spindle")]),
        .executableTarget(name: "ShardedStore", dependencies: [.product(name: "Spindle", package: "spindle")]),
        .executableTarget(name: "NIOAsyncEcho", dependencies: nio),
        .executableTarget(name: "NIOEcho", dependencies: nio),
        .executableTarget(name: "NIOExecute", dependencies: nio),
    ],
    swiftLanguageModes: [.v6]
)
