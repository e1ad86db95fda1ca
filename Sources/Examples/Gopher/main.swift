// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleProtocols

/// A name within the folder, or nil: one that leads out of it, or is none.
func path(of selector: String, in folder: String) -> String? {
    let parts = selector.split(separator: "/")
    guard !parts.contains(".."), !selector.contains("\0") else { return nil }
    return ([folder] + (parts.isEmpty ? ["gophermap"] : parts.map(String.init))).joined(separator: "/")
}

let arguments = CommandLine.arguments.dropFirst()
let port = arguments.first.flatMap { UInt16($0) } ?? 7070
let folder = arguments.dropFirst().first ?? "."
let engine = try Engine()
// Gopher (RFC 1436): a line names a file, whose bytes are the answer; the end of the connection is their end.
let listener = try engine.serve(on: .any(port: port)) { connection in
    for try await line in connection.frames(LineFormat(limitBytes: 1024)) {
        guard let path = path(of: line.text, in: folder) else {
            return try await connection.write("3not a name here\terror\terror\t0\r\n.\r\n")
        }
        do {
            // Opening may wait for a disk. What is sent does not: the kernel moves it, or the pool reads it first.
            let file = try await engine.blocking { try FileRegion(path: path) }
            return try await connection.write(file)
        } catch is FileError {
            return try await connection.write("3no such file\terror\terror\t0\r\n.\r\n")
        }
    }
}
print("\(folder): listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
