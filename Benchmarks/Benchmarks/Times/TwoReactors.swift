// SPDX-License-Identifier: Apache-2.0

import Benchmark
import Operations
import Spindle

extension TwoReactors {
    static func addBenchmarks() {
        for (how, spin) in [("spinning", Duration.seconds(60)), ("sleeping", .zero)] {
            add("mailbox-round-trip-\(how)", spin, mailboxTrips)
            add("submit-round-trip-\(how)", spin, submitTrips)
            add("hop-round-trip-\(how)", spin, hops)
        }
    }

    private static func add(
        _ name: String,
        _ idleSpin: Duration,
        _ trips: @escaping @Sendable (Int, Engine) async -> Void
    ) {
        Benchmark(name) { benchmark in
            let engine = try engine(idleSpin: idleSpin)
            try await engine.start()
            benchmark.startMeasurement()
            await trips(benchmark.scaledIterations.count, engine)
            benchmark.stopMeasurement()
            await engine.stop(deadline: .zero)
        }
    }
}
