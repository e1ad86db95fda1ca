// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleReactor

/// Every phase that a state can be made in, with every set of flags.
@Suite
struct ConnectionStateTests {
    @Test("a plain connection may read and write and has nothing else to do, whatever its other flags are")
    func plain() {
        var plainCount = 0
        let limits = ReactorConfiguration()
        for bits in 0..<UInt32(1 << 17) {
            var state = ConnectionState()
            state.flags = ConnectionState.Flags(rawValue: bits)
            guard state.isPlain else { continue }
            plainCount += 1
            if !state.mayRead || !state.acceptsWrites
                || state.nextAction(unsentBytes: 0, weight: 0, limits: limits) != .nothing
            {
                Issue.record("flags \(bits) are called plain")
            }
        }
        // Of the 17, ten must be clear: a set that nothing passes would hold the claim, too.
        #expect(plainCount == 1 << 7)
    }

    @Test("no connection is plain that is not open")
    func phases() {
        var draining = ConnectionState()
        draining.loseConnection()
        #expect(!draining.isPlain && !ConnectionState(.connecting).isPlain)
        var closing = ConnectionState()
        #expect(closing.isPlain && closing.end() && !closing.isPlain)
        closing.linger()
        #expect(!closing.isPlain)
        closing.closed()
        #expect(!closing.isPlain)
    }
}
