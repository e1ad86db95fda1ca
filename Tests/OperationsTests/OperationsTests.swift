// SPDX-License-Identifier: Apache-2.0

import OperationsUnderTest
import Testing

@Suite("Counted operations")
struct OperationsTests {
    @Test("each operation does what it counts, again and again", arguments: Operation.all.map(\.name))
    func runs(name: String) throws {
        let operation = try #require(Operation.named(name))
        let body = try operation.prepare()
        // A multiple of every batch; operations check their own results.
        for _ in 0..<2 { body(min(operation.repetitions, 400)) }
    }

    @Test("names are unique, and fit a command line")
    func names() {
        let names = Operation.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" } })
        #expect(Operation.named("none") == nil)
    }
}
