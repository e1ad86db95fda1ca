// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite
struct ReadmeTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

    private func text(_ path: String) throws -> String {
        guard case .text(let text) = SystemFiles(root: ReadmeTests.root).read("/\(path)") else {
            Issue.record("\(path) cannot be read")
            return ""
        }
        return text
    }

    @Test("the README's echo servers are the examples that are built, line for line", arguments: ["Echo", "AsyncEcho"])
    func echoServer(name: String) throws {
        let readme = try text("README.md").split(separator: "\n", omittingEmptySubsequences: false)
        let starts = readme.indices.filter { readme[$0] == "```swift" }
        let start = try #require(starts.dropFirst(name == "Echo" ? 0 : 1).first)
        let block = readme[(start + 1)...].prefix { $0 != "```" }.filter { !$0.isEmpty }
        #expect(block.count <= 10)
        // The example takes its port from the command line, and keeps the listener to tell it.
        let example = try text("Sources/Examples/\(name)/main.swift")
            .replacing("let listener = ", with: "").replacing("port: port)", with: "port: 7000)")
            .split(separator: "\n").map(String.init)
        var rest = example[...]
        for line in block {
            let index = try #require(rest.firstIndex(of: String(line)), "not in the example, or not in order: \(line)")
            rest = rest[(index + 1)...]
        }
    }

    @Test("the tutorial's code is that of the examples, line for line")
    func tutorial() throws {
        let page = try text("Sources/Spindle/Spindle.docc/Tutorial.md")
            .split(separator: "\n", omittingEmptySubsequences: false)
        var (source, blockCount, lines) = ("", 0, [Substring]())
        var rest: ArraySlice<Substring>?
        for line in page {
            if line.hasPrefix("```swift") {
                // The first block is the package of a new user.
                lines = source.isEmpty ? [] : source.split(separator: "\n")
                rest = lines.isEmpty ? nil : lines[...]
                blockCount += 1
            } else if line == "```" {
                rest = nil
            } else if var code = rest, !line.isEmpty {
                let index = try #require(code.firstIndex(of: line), "not in the example, or not in order: \(line)")
                code = code[(index + 1)...]
                rest = code
            } else if let path = line.firstMatch(of: /`((?:Sources\/Examples|Tests\/ExampleTests)\/[A-Za-z.\/]+)`/)?.1,
                path != "Sources/Examples"
            {
                source = try text(path.hasSuffix(".swift") ? String(path) : "\(path)/main.swift")
            }
        }
        #expect(blockCount == 10)
    }
}
