// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("Reading malformed files")
struct TopologyFuzzTests {
    /// What kernels write, to be put where it does not belong.
    private static let words = [
        "0-3", "0-4095", "max", "-1", "9223372036854771712", "9223372036854775807", "-9223372036854775808", "0", "1",
        "65535", "65536", "100000", " ", "\n", ":", ",", "/", "..", "-", "cgroup2", "cgroup", "cpu,memory,cpuset",
        "Node 0",
        "MemTotal:", "kB", "Cpus_allowed_list:\t0", "Mems_allowed_list:\t0,8", "ffffffff", "root", "isolated", "three",
        "32K", "nr_throttled", "\u{0}", "\u{FF}", "\\040", "0::/", "30 22 0:26 / / rw - cgroup2 x rw",
    ]

    private func garbage(using random: inout SeededGenerator) -> [UInt8] {
        let count = Int.random(in: 0...12, using: &random)
        if Bool.random(using: &random) {
            return (0..<count * 3).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        return (0..<count).flatMap { _ in Array((TopologyFuzzTests.words.randomElement(using: &random) ?? "").utf8) }
    }

    private func mutate(_ bytes: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        switch Int.random(in: 0..<5, using: &random) {
        case 0:
            return garbage(using: &random)
        case 1:
            return Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
        case 2:
            for _ in 0..<3 where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
        case 3:
            bytes.insert(contentsOf: garbage(using: &random), at: Int.random(in: 0...bytes.count, using: &random))
        default:
            // A digit more or less makes a well-formed file that disagrees with the others.
            guard let place = bytes.indices.filter({ (0x30...0x39).contains(bytes[$0]) }).randomElement(using: &random)
            else { break }
            bytes[place] = UInt8.random(in: 0x30...0x39, using: &random)
        }
        return bytes
    }

    private func readPlanDraw(_ contents: [String: [UInt8]], using random: inout SeededGenerator) {
        let files = SystemFiles(bytes: contents)
        let machine = MachineTopology(reading: files)
        #expect(!machine.cpus.isEmpty)
        #expect(!machine.nodes.isEmpty)
        #expect(machine.notes.allSatisfy { $0.utf8.allSatisfy { (0x20..<0x7F).contains($0) } })
        _ = machine.cgroup.throttleCount(reading: files)
        let request = PlacementRequest.random(for: machine, using: &random)
        let placement =
            (try? Placement.plan(request, on: machine)) ?? (try? Placement.plan(PlacementRequest(), on: machine))
        _ = try? BenchmarkPlacement.plan(request, on: machine)
        let drawing = TopologyDrawing(of: machine, placement: placement)
        #expect(drawing.text.utf8.allSatisfy { (0x20..<0x7F).contains($0) || $0 == 0x0A })
        #expect(drawing.text.split(separator: "\n").allSatisfy { $0.count <= 100 })
        #expect(isWellFormedJSON(drawing.json.compactText))
    }

    @Test("no bytes in any file trap, and what comes out can be planned and drawn", arguments: Fixture.allCases)
    func anyFile(fixture: Fixture) {
        let original = fixture.contents
        for seed in PropertySeeds.all.prefix(10) {
            var random = SeededGenerator(seed: seed)
            for path in original.keys.sorted() {
                guard Int.random(in: 0..<8, using: &random) == 0 else { continue }
                var contents = original
                contents[path] = mutate(original[path] ?? [], using: &random)
                readPlanDraw(contents, using: &random)
            }
        }
    }

    @Test("nor do bytes in many files at once", arguments: PropertySeeds.all)
    func manyFiles(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let fixture = Fixture.allCases.randomElement(using: &random) ?? .oneNode
        var contents = fixture.contents
        for path in contents.keys.sorted() where Int.random(in: 0..<3, using: &random) == 0 {
            contents[path] = mutate(contents[path] ?? [], using: &random)
        }
        readPlanDraw(contents, using: &random)
    }

    @Test("nor do missing files", arguments: PropertySeeds.all)
    func lostFiles(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let fixture = Fixture.allCases.randomElement(using: &random) ?? .oneNode
        var contents = fixture.contents
        for path in contents.keys.sorted() where Bool.random(using: &random) { contents[path] = nil }
        readPlanDraw(contents, using: &random)
    }

    @Test("list and mask parsers answer every text with a set or an error", arguments: PropertySeeds.all)
    func setParsers(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let text = String(decoding: garbage(using: &random), as: UTF8.self)
            do throws(CPUSetError) {
                _ = try CPUSet(parsing: text)
            } catch {
                #expect((0...text.utf8.count).contains(error.byteOffset))
                #expect(!error.description.isEmpty)
            }
            _ = try? CPUSet(parsingMask: text)
        }
    }
}
