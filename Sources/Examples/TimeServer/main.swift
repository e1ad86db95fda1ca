// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle

/// Tells the time by SNTP (RFC 4330): a request of 48 bytes has an answer of 48, so the reply limit never matters.
final class TimeServer: DatagramProtocol {
    let transport: any DatagramTransport
    init(_ transport: any DatagramTransport) { self.transport = transport }

    func datagramReceived(_ request: Span<UInt8>, from origin: DatagramOrigin) {
        let received = TimeServer.now()
        // Mode 3 is a client's; its version is answered.
        guard request.count >= 48, request[0] & 7 == 3 else { return }
        var answer = [UInt8](repeating: 0, count: 48)
        answer[0] = request[0] & 0x38 | 4
        answer[1] = 1  // Stratum: a primary clock; whether it is one is the machine's business.
        answer[2] = request[2]
        answer[3] = 0xec  // Precision: 2⁻²⁰ s.
        for (offset, letter) in "LOCL".utf8.enumerated() { answer[12 + offset] = letter }
        for offset in 0..<8 { answer[24 + offset] = request[40 + offset] }  // When the client has asked.
        TimeServer.put(received, at: 16, into: &answer)
        TimeServer.put(received, at: 32, into: &answer)
        TimeServer.put(TimeServer.now(), at: 40, into: &answer)
        transport.reply(answer)
    }

    /// Seconds since 1900 in the upper half, parts of a second in the lower.
    private static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let seconds = UInt64(time.tv_sec) + 2_208_988_800
        return seconds << 32 | UInt64(time.tv_nsec) << 32 / 1_000_000_000
    }

    private static func put(_ value: UInt64, at offset: Int, into bytes: inout [UInt8]) {
        for byte in 0..<8 { bytes[offset + byte] = UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * byte)) }
    }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 1123
let engine = try Engine()
let listener = try engine.listenUDP(on: .any(port: port)) { TimeServer($0) }
print("listening on \(listener.address) with \(engine.reactorCount) reactors")
fflush(nil)
try engine.run()
