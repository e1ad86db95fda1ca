// SPDX-License-Identifier: Apache-2.0

import OperationsUnderTest
import Spindle
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

    @Test("what takes two reactors goes there and back, spinning and asleep", arguments: [true, false])
    func goesAround(spinning: Bool) async throws {
        let engine = try TwoReactors.engine(idleSpin: spinning ? .seconds(60) : .zero)
        try await engine.start()
        await TwoReactors.mailboxTrips(10, on: engine)
        #expect(engine.snapshot()[.mailSent] == 20)
        await TwoReactors.submitTrips(10, on: engine)
        await TwoReactors.hops(10, on: engine)
        #expect(engine.snapshot()[.taskSteps] >= 20)
        await engine.stop(deadline: .zero)
    }

    @Test("names are unique, and fit a command line")
    func names() {
        let names = Operation.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" } })
        #expect(Operation.named("none") == nil)
    }
}
