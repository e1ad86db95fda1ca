// SPDX-License-Identifier: Apache-2.0

import Benchmark
import Operations

/// Times of the operations that `check-counts` counts: for a look at a change on a quiet machine, never a gate.
///
///     cd Benchmarks && swift package --disable-sandbox benchmark --target Times [--filter mailbox.*]
let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput],
        scalingFactor: .kilo,
        maxDuration: .seconds(1),
        maxIterations: 10_000
    )
    for operation in Operation.all {
        // Prepared once, outside of what is timed; 1,000 of them are one iteration.
        Benchmark("\(operation.name)") { benchmark in
            let body = try operation.prepare()
            body(operation.repetitions)
            benchmark.startMeasurement()
            body(benchmark.scaledIterations.count)
        }
    }
    TwoReactors.addBenchmarks()
}
