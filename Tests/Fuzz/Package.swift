// swift-tools-version:6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Programs of libFuzzer, one for each parser that peers or operators feed: `make fuzz` runs them all.
///
/// A package of its own: everything in it, the parsers included, is built with `-sanitize=fuzzer,address`.
func fuzzer(_ name: String, _ products: [String]) -> Target {
    .executableTarget(
        name: name,
        dependencies: ["FuzzDriver"] + products.map { .product(name: $0, package: "spindle") },
        swiftSettings: [.swiftLanguageMode(.v6)]
    )
}

let package = Package(
    name: "spindle-fuzz",
    dependencies: [.package(name: "spindle", path: "../..")],
    targets: [
        .target(name: "FuzzDriver"), fuzzer("FuzzFraming", ["SpindleProtocols"]),
        fuzzer("FuzzProxyHeader", ["SpindleProtocols"]), fuzzer("FuzzPluginText", ["Spindle"]),
    ]
)
