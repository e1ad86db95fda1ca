// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("CPUSet")
struct CPUSetTests {
    @Test(
        "the list format of cpuset(7), taskset(1) and the kernel is read",
        arguments: [
            ("", []), ("\n", []), ("0", [0]), ("0-3,8", [0, 1, 2, 3, 8]), ("8,0-3\n", [0, 1, 2, 3, 8]),
            ("0-9/3", [0, 3, 6, 9]), ("0-9:3", [0, 3, 6, 9]), ("0-9:2/4", [0, 1, 4, 5, 8, 9]), ("10-12/2", [10, 12]),
            (" 1 , 2 ", [1, 2]), ("3-3", [3]), ("1-3,2-4", [1, 2, 3, 4]), ("64,128,1024", [64, 128, 1024]),
            ("65535", [65535]), ("007", [7]),
        ]
    )
    func listIsRead(text: String, expected: [Int]) throws {
        #expect(Array(try CPUSet(parsing: text)) == expected)
    }

    @Test(
        "wrong list text is refused at its position",
        arguments: [
            ("x", 0, CPUSetError.Expectation.number), ("1,", 2, .number), ("1,,2", 2, .number), ("-1", 0, .number),
            ("1-", 2, .number), ("1 2", 2, .commaOrEnd), ("0..3", 1, .commaOrEnd), ("3-0", 2, .ascendingRange),
            ("0-3/0", 4, .positiveStride), ("0-3:0", 4, .positiveStride), ("0-3:3/2", 4, .usedWithinGroup),
            ("65536", 0, .smallerNumber), ("0-99999999999999999999", 2, .smallerNumber), ("0-3/", 4, .number),
            ("1;2", 1, .commaOrEnd), ("ä", 0, .number),
        ]
    )
    func listIsRefused(text: String, offset: Int, expectation: CPUSetError.Expectation) {
        #expect(throws: CPUSetError(text: text, byteOffset: offset, expectation: expectation)) {
            try CPUSet(parsing: text)
        }
    }

    @Test("the error names what was given, where, and what is allowed")
    func errorText() {
        let error = #expect(throws: CPUSetError.self) { try CPUSet(parsing: "0-3,x") }
        #expect(
            error?.description
                == "CPU list '0-3,x': at position 5 stands 'x', expected a CPU number (as in 0-3,8,10-14/2)"
        )
    }

    @Test(
        "the mask format of /proc is read and printed",
        arguments: [
            ("00000000", []), ("00000003", [0, 1]), ("00000001,00000000", [32]),
            ("80000000,00000000,00000001", [0, 95]), ("00000100,00000000,00000000,00000000", [104]),
        ]
    )
    func maskBothWays(text: String, cpus: [Int]) throws {
        let set = try CPUSet(parsingMask: text)
        #expect(Array(set) == cpus)
        #expect(set.maskText == text)
    }

    @Test("short mask groups count from the right", arguments: [("3", [0, 1]), ("1,3", [0, 1, 32]), ("", [])])
    func shortMask(text: String, cpus: [Int]) throws {
        #expect(Array(try CPUSet(parsingMask: text)) == cpus)
    }

    @Test("wrong masks are refused", arguments: ["g", ",1", "1,", "1,,1", "123456789", "0x3"])
    func maskIsRefused(text: String) {
        #expect(throws: CPUSetError.self) { try CPUSet(parsingMask: text) }
    }

    @Test("a mask of more CPUs than the limit is refused, not allocated")
    func longMask() {
        let text = "1" + String(repeating: ",00000000", count: CPUSet.idLimit / 32)
        #expect(throws: CPUSetError.self) { try CPUSet(parsingMask: text) }
    }

    @Test("what is printed reads back as the same set", arguments: PropertySeeds.all)
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let ids = (0..<Int.random(in: 0...40, using: &random)).map { _ in Int.random(in: 0..<300, using: &random) }
        let set = CPUSet(ids)
        #expect(try CPUSet(parsing: set.listText) == set)
        #expect(try CPUSet(parsingMask: set.maskText) == set)
        #expect(Array(set) == Set(ids).sorted())
        #expect(set.count == Set(ids).count)
        #expect(set.ranges.flatMap(Array.init) == Array(set))
    }

    @Test("set algebra agrees with Set<Int>", arguments: PropertySeeds.all)
    func algebra(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let left = Set((0..<20).map { _ in Int.random(in: 0..<130, using: &random) })
        let right = Set((0..<20).map { _ in Int.random(in: 0..<70, using: &random) })
        let (first, second) = (CPUSet(left), CPUSet(right))
        #expect(Array(first.union(second)) == left.union(right).sorted())
        #expect(Array(first.intersection(second)) == left.intersection(right).sorted())
        #expect(Array(first.subtracting(second)) == left.subtracting(right).sorted())
        #expect(first.isSubset(of: second) == left.isSubset(of: right))
        #expect(first.isDisjoint(with: second) == left.isDisjoint(with: right))
        #expect(first.first == left.min())
        #expect(first.last == left.max())
        var removed = first
        for id in right { removed.remove(id) }
        #expect(removed == first.subtracting(second))
        #expect(removed.hashValue == first.subtracting(second).hashValue)
    }

    @Test("removing the highest member leaves an equal set to one that never had it")
    func removalIsCanonical() {
        var set: CPUSet = [1, 200]
        set.remove(200)
        set.remove(-1)
        set.remove(99_999)
        #expect(set == [1])
        #expect(!set.contains(-1))
        #expect(CPUSet().description == "none")
        #expect(CPUSet().first == nil)
        #expect(CPUSet().last == nil)
    }

    @Test("our own insertion of an impossible id traps")
    func insertTraps() async {
        await #expect(processExitsWith: .failure) {
            var set = CPUSet()
            set.insert(CPUSet.idLimit)
        }
    }
}
