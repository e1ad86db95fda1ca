// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleProtocols

/// How many primes there are up to a number: work that would keep a core, and all its connections, for seconds.
@Sendable func primes(upTo limit: Int) -> Int {
    guard limit > 1 else { return 0 }
    var isComposite = [Bool](repeating: false, count: limit + 1)
    var count = 0
    for number in 2...limit where !isComposite[number] {
        count += 1
        for multiple in stride(from: number * number, through: limit, by: number) { isComposite[multiple] = true }
    }
    return count
}

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let listener = try engine.serve(on: .any(port: port)) { connection in
    for try await line in connection.frames(LineFormat()) {
        guard let limit = Int(line.text), (0...100_000_000).contains(limit) else {
            try await connection.write("a number up to 100000000, please\n")
            continue
        }
        // On a thread off the cores; the handler goes on here when it is done, and others go on meanwhile.
        let count = try await engine.blocking { primes(upTo: limit) }
        try await connection.write("\(count)\n")
    }
}
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
