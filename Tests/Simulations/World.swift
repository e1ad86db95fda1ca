// SPDX-License-Identifier: Apache-2.0

import SpindleCore
package import SpindleReactor
import SpindleSimulation

/// One simulated run: reactors, echo servers in both styles, clients, mail, faults and a stop, all from one seed.
///
/// Looks for violations of N1 to N7, of byte-exact echo, of lost wake-ups, and for leaks.
public struct World {
    /// What is run.
    public struct Plan: Sendable {
        /// Everything is drawn from it.
        public var seed: UInt64
        /// How many reactors; nil lets the seed choose 1 to 8.
        public var reactorCount: Int?
        /// Rounds of clients, mail and faults before the stop.
        public var roundCount = 60
        /// A mistake to make; in builds for debugging.
        package var plantedBug: PlantedBug?

        /// A run of this seed.
        public init(seed: UInt64, reactorCount: Int? = nil) {
            self.seed = seed
            self.reactorCount = reactorCount
        }
    }

    /// What a run came to.
    public struct Verdict: Sendable {
        /// What did not hold; empty when everything did.
        public let violations: [Violation]
        /// The same for two runs of one plan.
        public let fingerprint: UInt64
        /// Turns of all reactors.
        public let turnCount: Int
        /// Seconds that passed in the simulation.
        public let simulatedSeconds: Double
    }

    private let plan: Plan
    private let ledger: Ledger
    private let network: SimulatedNetwork
    private let scheduler: SimulatedScheduler
    private let mail: Mail

    /// Runs the plan.
    public static func run(_ plan: Plan) -> Verdict { World(plan).run() }

    private init(_ plan: Plan) {
        self.plan = plan
        ledger = Ledger(seed: plan.seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        var sizes = SimulatedNetwork.Configuration()
        sizes.sendBufferBytes = ledger.number(100...4000)
        sizes.receiveBufferBytes = ledger.number(100...4000)
        network = SimulatedNetwork(seed: plan.seed, configuration: sizes)
        scheduler = SimulatedScheduler(
            reactorCount: plan.reactorCount ?? 1 + Int(plan.seed % 8),
            network: network,
            configuration: World.configuration(ledger),
            seed: plan.seed
        )
        ledger.handles = scheduler.reactors.map(\.handle)
        mail = Mail(scheduler, ledger)
        #if DEBUG
            for reactor in scheduler.reactors { reactor.plantedBug = plan.plantedBug }
        #endif
    }

    /// Small limits, so that each is met.
    private static func configuration(_ ledger: Ledger) -> ReactorConfiguration {
        var limits = ReactorConfiguration()
        limits.mailboxCapacity = 1 << ledger.number(1...7)
        limits.urgentCapacity = 1 << ledger.number(1...4)
        limits.mailBudget = ledger.number(1...40)
        limits.readBudgetBytes = ledger.number(50...3000)
        limits.eventsPerWait = ledger.number(1...16)
        limits.eventsPerMailGlance = ledger.number(1...8)
        limits.acceptBudget = ledger.number(1...8)
        limits.closeBudget = ledger.number(1...8)
        limits.timerBudget = ledger.number(1...50)
        limits.jobBudget = ledger.number(1...50)
        limits.writeLowWatermarkBytes = ledger.number(0...500)
        limits.writeHighWatermarkBytes = limits.writeLowWatermarkBytes + ledger.number(1...2000)
        limits.corkBytes = ledger.number(64...2000)
        // Nobody is cut off for being slow: what does not come is missed.
        limits.writeProgressTimeout = nil
        limits.closeTimeout = .seconds(60)
        limits.lingerTimeout = .milliseconds(ledger.number(1...500))
        return limits
    }

    private func run() -> Verdict {
        let start = network.now
        let turns = Turns()
        do throws(Errno) { try live(turns) } catch {
            ledger.check(false, "listen", "\(error)")
        }
        return Verdict(
            violations: ledger.violations,
            fingerprint: ledger.fingerprint,
            turnCount: scheduler.turnCount,
            simulatedSeconds: Double(start.duration(to: network.now).components.seconds)
        )
    }

    /// Turns that a run may take before it counts as one that never ends.
    private final class Turns {
        var left = 200_000
    }

    private func live(_ turns: Turns) throws(Errno) {
        let (ledger, scheduler) = (ledger, scheduler)
        let addresses = [
            try scheduler.listen(at: .loopback(port: 0)) { EchoFactory(ledger, $0) },
            try scheduler.serve(at: .loopback(port: 0), EchoHandler.make(ledger, isFirst: true)),
        ]
        // N6: one address for all reactors; and who comes before the first turn waits in the queue.
        var clients = (0..<3).map { Client(network.connect(to: addresses[$0 % 2]), ledger, number: $0) }
        var faults = FaultPlan(seed: plan.seed, resets: false)
        faults.acceptErrnos = [.tooManyFiles, .noMemory, .interrupted]
        faults.acceptErrors = min(faults.acceptErrors, 0.2)
        network.faults = faults
        for _ in 0..<plan.roundCount {
            if clients.count < 30, ledger.chance(2) {
                clients.append(
                    Client(network.connect(to: addresses[ledger.random.below(2)]), ledger, number: clients.count)
                )
            }
            for client in clients where !ledger.chance(3) { client.act() }
            disturb()
            scheduler.run(maximumTurns: ledger.number(1...150), noLaterThan: network.now.advanced(by: .milliseconds(2)))
        }
        come(clients, turns)
        stop(addresses, turns)
    }

    /// Mail, timers, stalls, a lack of descriptors.
    private func disturb() {
        for _ in 0..<ledger.number(0...6) { mail.send() }
        if ledger.chance(3) { mail.race() }
        if ledger.chance(2) { mail.submit() }
        if ledger.chance(2) { mail.time() }
        if ledger.chance(6) {
            network.descriptorLimit = ledger.chance(2) ? nil : ledger.number(5...20)
            ledger.lackedDescriptors = true
        }
        if ledger.chance(5) { stall() }
    }

    /// N5: while one reactor does not come back, another one does its work.
    private func stall() {
        let (victim, other) = (ledger.random.below(ledger.handles.count), ledger.random.below(ledger.handles.count))
        let length = Duration.milliseconds(ledger.number(1...20))
        scheduler.stall(victim, for: length)
        guard other != victim, !scheduler.isStalled(other) else { return }
        let ledger = ledger
        let ran = Flag()
        ledger.handles[other].submit { ran.isSet = true }
        let end = network.now.advanced(by: .milliseconds(20))
        scheduler.stall(victim, for: .milliseconds(30))
        scheduler.run(maximumTurns: 20_000, noLaterThan: end) { ran.isSet }
        ledger.check(ran.isSet, "N5", "reactor \(other) waited for reactor \(victim), which stalls")
    }

    // Sendable: the job that sets it has to be; the run has one thread.
    private final class Flag: @unchecked Sendable {
        var isSet = false
    }

    /// Everybody finishes, with nothing more in the way: all must come right.
    private func come(_ clients: [Client], _ turns: Turns) {
        var gentle = network.faults
        gentle.acceptErrors = 0
        network.faults = gentle
        network.descriptorLimit = nil
        runOn(turns) {
            for client in clients { client.comeToEnd() }
            return clients.allSatisfy(\.isOver)
        }
        for client in clients { client.checkComplete() }
        runOn(turns) { false }
        mail.checkArrived()
        mail.checkRoom()
        runOn(turns) { false }
        ledger.check(scheduler.missedWakeUps == 0, "wake-up", "\(scheduler.missedWakeUps) were missed")
        ledger.checkAllEnded()
    }

    /// A stop as the engine does it, under load: N3, N7, the drain, and nothing left.
    private func stop(_ addresses: [SocketAddress], _ turns: Turns) {
        let busy = (0..<8).map { Client(network.connect(to: addresses[$0 % 2]), ledger, number: 100 + $0) }
        for _ in 0..<10 {
            for client in busy { client.act() }
            scheduler.run(maximumTurns: ledger.number(1...60), noLaterThan: network.now.advanced(by: .milliseconds(2)))
        }
        // These wait in the queues when listening stops: each must be served.
        let late = (0..<8).map { Client(network.connect(to: addresses[$0 % 2]), ledger, number: 200 + $0) }
        network.advance(by: .milliseconds(6))
        let queued = late.filter(\.peer.isConnected)
        for _ in 0..<20 { mail.send() }
        scheduler.stopListening()
        ledger.isStopping = true
        // Refused, or reset: nobody may be served.
        let refused = (0..<4).map { network.connect(to: addresses[$0 % 2]) }
        scheduler.run(maximumTurns: 200, noLaterThan: network.now.advanced(by: .milliseconds(10)))
        for peer in refused { ledger.check(peer.error != nil || !peer.isConnected, "N3", "accepted after the stop") }
        scheduler.drain()
        let all = busy + queued
        runOn(turns) {
            for client in all { client.listen() }
            return all.allSatisfy(\.isOver)
        }
        for client in all { client.checkDrained() }
        for peer in refused { peer.close() }
        // Lingering sockets have their time.
        network.advance(by: .seconds(2))
        runOn(turns) { false }
        ledger.check(scheduler.reactors.allSatisfy { $0.connectionCount == 0 }, "leak", "connections after the drain")
        for _ in 0..<20 { mail.send() }
        scheduler.endAllConnections()
        scheduler.stop()
        mail.checkAccounted()
        network.advance(by: .seconds(60))
        ledger.checkAllEnded()
        ledger.check(network.openDescriptorCount == 0, "leak", "\(network.openDescriptorCount) descriptors")
        for reactor in scheduler.reactors {
            let counters = reactor.handle.counters
            ledger.check(counters[.bufferedBytes] == 0, "leak", "\(counters[.bufferedBytes]) buffered bytes")
            ledger.check(reactor.handle.connectionLoad == 0, "leak", "a load of \(reactor.handle.connectionLoad)")
        }
    }

    /// Runs until the condition holds or nothing is left to happen.
    private func runOn(_ turns: Turns, until condition: () -> Bool) {
        let before = scheduler.turnCount
        let outcome = scheduler.run(maximumTurns: turns.left, until: condition)
        turns.left -= scheduler.turnCount - before
        ledger.check(outcome != .outOfTurns, "livelock", "200,000 turns, and no end")
        if turns.left <= 0 { turns.left = 1 }
    }
}
