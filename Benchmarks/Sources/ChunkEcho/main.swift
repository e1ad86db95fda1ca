// SPDX-License-Identifier: Apache-2.0
//
// An echo by a loop over `connection.chunks`: each read is a copy that may be kept.
//
// usage: ChunkEcho [PORT]      prints `listening on 127.0.0.1:PORT`

import Glibc
import Spindle

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 0
let engine = try Engine()
let listener = try engine.serve(on: .any(port: port)) { connection in
    for try await chunk in connection.chunks { try await connection.write(chunk) }
}
print("listening on \(listener.address)")
fflush(nil)
try engine.run()
