// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let listener = try engine.serve(on: .any(port: port)) { connection in
    while try await connection.read({ connection.write($0) }) != nil {}
}
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
