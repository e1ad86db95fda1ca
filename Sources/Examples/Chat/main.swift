// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle

/// The guests of one core: no lock, since nobody else touches it.
final class Room {
    var guests: [ObjectIdentifier: any StreamTransport] = [:]

    func say(_ line: ByteChunk) { for guest in guests.values { guest.write(line) } }
}

/// Hands every line on to all cores.
final class Guest: StreamProtocol {
    let transport: any StreamTransport
    let room: Room
    let hall: Channel<ByteChunk>
    private var line: [UInt8] = []

    init(_ transport: any StreamTransport, _ room: Room, _ hall: Channel<ByteChunk>) {
        (self.transport, self.room, self.hall) = (transport, room, hall)
    }

    func connectionMade() {
        room.guests[ObjectIdentifier(self)] = transport
        transport.write("welcome\n")
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        for index in bytes.indices {
            line.append(bytes[index])
            guard bytes[index] == UInt8(ascii: "\n") else { continue }
            hall.broadcast(ByteChunk(line))
            line = []
        }
        if line.count > 4096 { transport.abortConnection() }
    }

    func connectionLost(_ reason: DisconnectReason) { room.guests[ObjectIdentifier(self)] = nil }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
let engine = try Engine()
let rooms = engine.makeSharded { _ in Room() }
let hall = engine.makeChannel(of: ByteChunk.self) { line, _ in try rooms.local.say(line) }
let listener = try engine.listen(on: .any(port: port)) { Guest($0, try rooms.local, hall) }
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
