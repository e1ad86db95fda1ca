// SPDX-License-Identifier: Apache-2.0
//
// Runs whole simulations, seed after seed, until a rule is violated or the time is up: make sim.
//
// usage: SimulationHunt [--seed N] [--reactors N] [--minutes N | --seeds N]
//
// Prints the seed that found something, and what; exit code 1. `--seed N --seeds 1` runs that one again.

import Glibc
import Simulations

func fail(_ message: String) -> Never {
    print("SimulationHunt: \(message)")
    print("usage: SimulationHunt [--seed N] [--reactors N] [--minutes N | --seeds N]")
    exit(64)
}

var (seed, reactors, minutes, seeds) = (UInt64(0), Int?.none, Double?.none, UInt64?.none)
var arguments = CommandLine.arguments.dropFirst()
while let flag = arguments.popFirst() {
    guard let text = arguments.popFirst() else { fail("\(flag) needs a value") }
    switch flag {
    case "--seed":
        guard let value = UInt64(text) else { fail("--seed \(text): a number from 0 on") }
        seed = value
    case "--reactors":
        guard let value = Int(text), (1...4096).contains(value) else { fail("--reactors \(text): 1 to 4096") }
        reactors = value
    case "--minutes":
        guard let value = Double(text), value > 0 else { fail("--minutes \(text): more than 0") }
        minutes = value
    case "--seeds":
        guard let value = UInt64(text), value > 0 else { fail("--seeds \(text): 1 or more") }
        seeds = value
    default: fail("\(flag) is unknown")
    }
}
if minutes != nil, seeds != nil { fail("--minutes or --seeds, not both") }
let end = minutes.map { ContinuousClock.now + .seconds($0 * 60) }
let last = end == nil ? seed + (seeds ?? 200) : .max

var (run, turns, simulated) = (0, 0, 0.0)
var shown = ContinuousClock.now
while seed < last, end.map({ ContinuousClock.now < $0 }) ?? true {
    let verdict = World.run(World.Plan(seed: seed, reactorCount: reactors))
    if !verdict.violations.isEmpty {
        for violation in verdict.violations { print("seed \(seed): \(violation)") }
        let count = reactors.map { " REACTORS=\($0)" } ?? ""
        print("again: make sim SEED=\(seed)\(count) SEEDS=1")
        exit(1)
    }
    (run, turns, simulated) = (run + 1, turns + verdict.turnCount, simulated + verdict.simulatedSeconds)
    seed += 1
    if ContinuousClock.now - shown > .seconds(2) {
        print("\(run) runs clean, \(turns) turns, \(Int(simulated)) simulated seconds; next is seed \(seed)")
        fflush(nil)
        shown = .now
    }
}
print("\(run) runs clean, \(turns) turns, \(Int(simulated)) simulated seconds")
