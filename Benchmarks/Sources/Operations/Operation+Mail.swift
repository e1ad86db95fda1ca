// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation

extension Operation {
    /// A value of 32 bytes, as messages between cores are.
    private struct Value: Sendable {
        var words: (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4)
    }

    /// Values that leave in one batch: `Outbox.batchSize`, after which the bell is rung.
    private static let batch = 16

    /// Costs grow with the number of peers that have mail, not of those that there are.
    static let mailboxes = [1, 8, 64].map { peers in
        Operation(
            "mailbox-1-of-\(peers)",
            "a value between reactors, in batches of \(batch) with a turn of the receiver; it has \(peers) peers"
        ) {
            let scheduler = SimulatedScheduler(reactorCount: peers + 1, network: SimulatedNetwork())
            let received = Tally()
            let channel = scheduler.makeChannel { (_: Value, _) in received.count += 1 }
            return { count in
                let before = received.count
                for _ in 0..<count / batch {
                    scheduler.perform(on: 1) { _ in for _ in 0..<batch { channel.send(Value(), to: 0) } }
                    scheduler.turn(0)
                }
                precondition(received.count - before == count / batch * batch, "values were lost")
            }
        }
    }

    static let emptyTurn = Operation("empty-turn", "a turn of a reactor that has 64 peers and nothing to do") {
        let scheduler = SimulatedScheduler(reactorCount: 65, network: SimulatedNetwork())
        return { count in for _ in 0..<count { scheduler.turn(0) } }
    }

    static let submit = Operation("submit", "a job from a thread that is no reactor, the reactor's turn included") {
        let scheduler = SimulatedScheduler(reactorCount: 2, network: SimulatedNetwork())
        let handle = scheduler.reactors[0].handle
        let run = Tally()
        return { count in
            let before = run.count
            for _ in 0..<count {
                handle.submit { run.count += 1 }
                scheduler.turn(0)
            }
            precondition(run.count - before == count, "jobs were lost")
        }
    }
}
