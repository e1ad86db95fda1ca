// SPDX-License-Identifier: Apache-2.0
//
// Measures what echo servers don't: messages between reactors, timers, and what an echo costs by the number of
// reactors. micro.py runs it in turn with its raw C twins and prints ratios.
//
// usage: Micro one-way [--messages N]          ns per 32-byte value from one reactor to another, both spinning
//        Micro round-trip [--trips N]          ns per round trip, both spinning
//        Micro wake [--trips N]                ns per round trip (median), the target asleep, the sender polling
//        Micro sleepers [--trips N]            the same, both asleep
//        Micro busy --port P [--trips N] [--work NS]   ns from send to handler, on a reactor that is busy with 1,000
//                                              connections to the echo server at 127.0.0.1:P
//        Micro tasks [--times N]               ns to await an actor of the same reactor (from isolated code, from a
//                                              preferring task), to make a task, to hop to a spinning reactor and back
//        Micro timers [--pending N]            ns per schedule + cancel, and a million timers that expire
//        Micro framing [--pieces N] [--rounds N]       ns per line and per message behind its length, beside raw C
//        Micro simulated [--reactors N] [--echoes N]   N reactors on the simulated driver, for counting
//        Micro count/NAME [--times N] [--plant N]      an operation of `Operations` N times, for counting; with N heap
//                                              allocations planted into each, which the gates have to see
//        Micro list                            the operations' names and what they are
//
// Prints one line of JSON. Reactors are pinned to CPUs 0 and 1.

import Glibc
import Operations

let benchmarks: [String: @Sendable (Arguments) async throws -> Figures] = [
    "one-way": Mailbox.oneWay, "round-trip": Mailbox.spinningRoundTrip, "wake": Mailbox.wakingRoundTrip,
    "sleepers": Mailbox.sleepingRoundTrip, "busy": BusyReactor.run, "timers": Timers.run,
    "tasks": Tasks.run, "framing": FramingSpeed.run,
]

let arguments = Arguments(CommandLine.arguments.dropFirst())
// Without tasks: valgrind cannot run a program whose main thread has ended, as an asynchronous main's does.
if arguments.name == "simulated" {
    do { print(try SimulatedEcho.run(arguments).json) } catch { Arguments.fail("\(error)") }
} else if arguments.name == "list" {
    for operation in Operation.all { print("\(operation.name)\t\(operation.repetitions)\t\(operation.summary)") }
} else if arguments.name.hasPrefix("count/") {
    do { print(try Counting.run(arguments).json) } catch { Arguments.fail("\(error)") }
} else {
    guard let benchmark = benchmarks[arguments.name] else {
        Arguments.refuse("the first argument is simulated, \(benchmarks.keys.sorted().joined(separator: ", "))")
    }
    Task.detached {
        do {
            print(try await benchmark(arguments).json)
            exit(0)
        } catch { Arguments.fail("\(error)") }
    }
    while true { pause() }
}
