// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Synchronization
import Testing

@testable import SpindleReactor

/// The other reactors of a bench: they take their turns and send the one under test a number each time.
final class Neighbours {
    let reactors: [Reactor]
    private let target: Int
    private let channel: Channel<Int>
    private let arrivals: Arrivals
    private var sent: [Int]

    private final class Arrivals: Sendable {
        let bySender: Mutex<[[Int]]>
        init(count: Int) { bySender = Mutex(Array(repeating: [], count: count)) }
    }

    init(_ reactors: [Reactor], _ mailroom: Mailroom, of target: Int) {
        self.reactors = reactors
        self.target = target
        sent = Array(repeating: 0, count: reactors.count)
        let arrivals = Arrivals(count: reactors.count)
        self.arrivals = arrivals
        channel = Channel(mailroom) { number, sender in arrivals.bySender.withLock { $0[sender].append(number) } }
    }

    func turn() {
        for reactor in reactors {
            reactor.perform {
                if channel.send(sent[reactor.index], to: target) == .sent { sent[reactor.index] += 1 }
                reactor.turn(maximumWait: 0)
            }
        }
    }

    func finish() {
        for reactor in reactors {
            reactor.tearDown()
            reactor.handle.markStopped()
        }
    }

    /// N4: once each, in the order of each sender.
    func expectAllArrived() {
        let arrived = arrivals.bySender.withLock { $0 }
        #expect(arrived == sent.map { Array(0..<$0) })
    }
}
