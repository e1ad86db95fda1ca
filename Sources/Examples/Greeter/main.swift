// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let listener = try engine.listen(on: .any(port: port)) { Greeter($0) }
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
