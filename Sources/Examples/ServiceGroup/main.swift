// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import ServiceLifecycle
import Spindle
import SpindleService
import UnixSignals

/// Another service of the same program, which ends when the group shuts down.
struct Heartbeat: Service {
    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                print("alive")
                try? await ContinuousClock().sleep(for: .seconds(10))
            }
        }
    }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let logger = Logger(label: "example")
let engine = try Engine(log: SwiftLogSink(logger))
let listener = try engine.serve(on: .any(port: port)) { connection in
    while try await connection.read({ connection.write($0) }) != nil {}
}
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
let group = ServiceGroup(
    services: [Heartbeat(), EngineService(engine)],
    gracefulShutdownSignals: [.sigterm, .sigint],
    logger: logger
)
try await group.run()
