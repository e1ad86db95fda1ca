// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation

extension Operation {
    static let timers = [
        Operation("timer-cancel", "a timer scheduled and cancelled, with 1,000 pending") {
            let scheduler = SimulatedScheduler(reactorCount: 1, network: SimulatedNetwork())
            scheduler.perform(on: 0) { reactor in
                for number in 0..<1000 { reactor.callLater(.seconds(3600 + number)) {} }
            }
            return { count in
                scheduler.perform(on: 0) { reactor in
                    for number in 0..<count { reactor.callLater(.milliseconds(1 + number & 0xffff)) {}.cancel() }
                }
            }
        },
        Operation("timer-expire", "a timer scheduled and fired, 100 at once") {
            let network = SimulatedNetwork()
            let scheduler = SimulatedScheduler(reactorCount: 1, network: network)
            let fired = Tally()
            return { count in
                let before = fired.count
                for batch in 1...max(count / 100, 1) {
                    scheduler.perform(on: 0) { reactor in
                        for number in 0..<100 { reactor.callLater(.milliseconds(1 + number)) { fired.count += 1 } }
                    }
                    network.advance(by: .seconds(1))
                    // A turn fires so many and no more.
                    while fired.count - before < batch * 100 { scheduler.turn(0) }
                }
                precondition(fired.count - before == max(count / 100, 1) * 100, "timers fired twice")
            }
        },
    ]
}
