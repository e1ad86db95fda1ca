// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleProtocols

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let stores = engine.makeSharded { _ in Store() }

let listener = try engine.serve(on: .any(port: port)) { connection in
    let input = connection.frames(LineFormat())
    while let lines = try await input.nextAll()?.map(\.text) {
        // One visit to each core for all the lines that came together; the answers in the order of the lines.
        let shards = lines.map { stores.shard(for: Store.key(of: $0)) }
        var answers = [String](repeating: "", count: lines.count)
        for shard in Set(shards) {
            let own = lines.indices.filter { shards[$0] == shard }
            let batch = own.map { lines[$0] }
            let done = try await stores.invoke(on: shard) { store in batch.map(store.answer) }
            for (index, answer) in zip(own, done) { answers[index] = answer }
        }
        try await connection.write(answers.joined())
    }
}
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
