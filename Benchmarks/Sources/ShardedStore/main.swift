// SPDX-License-Identifier: Apache-2.0
//
// Keys and values spread over the cores, or, to compare with, a store on every core that serves its own connections.
//
// usage: ShardedStore PORT local|sharded      prints `listening on 127.0.0.1:PORT`

import Glibc
import Spindle

/// The keys of one core.
final class Store {
    private let values = Dictionary(uniqueKeysWithValues: (0..<1000).map { ("key\($0)", "= value of key\($0)\n") })
    func get(_ key: String) -> String { values[key] ?? "none\n" }
}

let arguments = CommandLine.arguments
let isSharded = arguments.last == "sharded"
var configuration = EngineConfiguration()
configuration.placement.cores = .count(2)
let engine = try Engine(configuration)
let stores = engine.makeSharded { _ in Store() }
let port = arguments.dropFirst().first.flatMap { UInt16($0) } ?? 0
let listener = try engine.serve(on: .loopback(port: port)) { connection in
    for try await chunk in connection.chunks {
        // The client sends whole lines.
        let keys = chunk.text.split(separator: "\n").map(String.init)
        let here = Reactor.current?.index ?? 0
        let shards = keys.map { isSharded ? stores.shard(for: $0) : here }
        var answers = [String](repeating: "", count: keys.count)
        for shard in Set(shards) {
            let own = keys.indices.filter { shards[$0] == shard }
            let batch = own.map { keys[$0] }
            let done = try await stores.invoke(on: shard) { store in batch.map(store.get) }
            for (index, answer) in zip(own, done) { answers[index] = answer }
        }
        try await connection.write(answers.joined())
    }
}
print("listening on \(listener.address)")
fflush(nil)
try engine.run()
