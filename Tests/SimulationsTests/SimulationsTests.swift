// SPDX-License-Identifier: Apache-2.0

import Simulations
import SpindleReactor
import Testing

@Suite("Whole simulated runs") struct SimulationsTests {
    /// The first of those that `make sim` runs, 200 of them in CI: optimized, they take seconds.
    @Test("N1 to N7, echo byte for byte, no lost wake-up, nothing left", arguments: 0..<15 as Range<UInt64>)
    func clean(seed: UInt64) {
        let verdict = World.run(World.Plan(seed: seed))
        #expect(verdict.violations.isEmpty, "make sim SEED=\(seed): \(verdict.violations)")
    }

    @Test("a run can be had again from its seed, turn by turn", arguments: [3, 64, 1_000_003] as [UInt64])
    func again(seed: UInt64) {
        let (first, second) = (World.run(World.Plan(seed: seed)), World.run(World.Plan(seed: seed)))
        #expect(first.fingerprint == second.fingerprint)
        #expect(first.turnCount == second.turnCount)
    }

    #if DEBUG
        @Test("every planted bug is found within 20 seeds", arguments: PlantedBug.allCases)
        func planted(bug: PlantedBug) {
            var plan = World.Plan(seed: 0)
            plan.plantedBug = bug
            for seed in 0..<20 as Range<UInt64> {
                plan.seed = seed
                if !World.run(plan).violations.isEmpty { return }
            }
            Issue.record("nobody noticed \(bug)")
        }
    #endif
}
