// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle

/// Echoes, and counts what it echoes on its core.
final class Counting: StreamProtocol {
    let transport: any StreamTransport
    let tally: Tally
    init(_ transport: any StreamTransport, _ tally: Tally) { (self.transport, self.tally) = (transport, tally) }
    func dataReceived(_ bytes: Span<UInt8>) {
        tally.bytes += bytes.count
        transport.write(bytes)
    }
}

/// What one core has echoed.
final class Tally {
    var bytes = 0
}

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let tallies = engine.makeSharded { reactor in
    let tally = Tally()
    // On every core by itself: once a second, without drift, and not at all when nothing happened.
    var before = 0
    reactor.callRepeatedly(every: .seconds(1)) { _ in
        guard tally.bytes > before else { return }
        print("reactor \(reactor.index): \(tally.bytes - before) bytes in the last second")
        before = tally.bytes
        fflush(nil)
    }
    return tally
} stop: { tally in
    print("one core is done: \(tally.bytes) bytes")
}
engine.addShutdownTrigger(.before) { print("stopping: no more connections, those that are open finish") }
engine.addShutdownTrigger(.after) { print("stopped") }
let listener = try engine.listen(on: .any(port: port)) { Counting($0, try tallies.local) }
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
