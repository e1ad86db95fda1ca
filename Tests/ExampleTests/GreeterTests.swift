// SPDX-License-Identifier: Apache-2.0

import SpindleTesting
import Testing

@testable import GreeterExample

@Suite struct GreeterTests {
    @Test("a greeting is the same however the name is cut", arguments: Cut.all(of: 4) + [.whole])
    func greets(cut: Cut) {
        let test = ScriptedConnection { Greeter($0) }
        #expect(test.takeText() == "Who is there?\n")
        test.feed("Ada\n", cut: cut)
        #expect(test.takeText() == "Hello, Ada!\n")
    }

    @Test("whoever says nothing for 30 seconds is let go, and nobody before")
    func letsGo() {
        let test = ScriptedConnection { Greeter($0) }
        test.advance(by: .seconds(29))
        #expect(test.takeText() == "Who is there?\n" && !test.isAtEnd)
        test.advance(by: .seconds(2))
        #expect(test.isAtEnd)
    }

    @Test("a name without an end is cut off")
    func cutsOff() {
        let test = ScriptedConnection { Greeter($0) }
        test.feed(String(repeating: "x", count: 101))
        #expect(test.error != nil)
    }
}
