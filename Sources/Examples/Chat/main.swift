// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleProtocols

/// The guests of one core: no lock, since nobody else touches it.
final class Room {
    var guests: [ObjectIdentifier: any StreamTransport] = [:]

    func say(_ line: ByteChunk) { for guest in guests.values { guest.write([line, newline]) } }
    private let newline = ByteChunk("\n")
}

/// Hands every line on to all cores.
final class Guest: FramedProtocol {
    let transport: any StreamTransport
    let framing = Framing(LineFormat(limitBytes: 4096))
    let room: Room
    let hall: Channel<ByteChunk>

    init(_ transport: any StreamTransport, _ room: Room, _ hall: Channel<ByteChunk>) {
        (self.transport, self.room, self.hall) = (transport, room, hall)
    }

    func connectionMade() {
        room.guests[ObjectIdentifier(self)] = transport
        transport.write("welcome\n")
    }

    func frameReceived(_ line: Span<UInt8>) { hall.broadcast(ByteChunk(copying: line)) }

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
