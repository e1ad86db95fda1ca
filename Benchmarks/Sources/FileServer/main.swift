// SPDX-License-Identifier: Apache-2.0
//
// A server of one file: each byte of a request is answered with all of it. What `file_send` of the floor is in C.
//
// usage: FileServer PATH [PORT]      prints `listening on 127.0.0.1:PORT`

import Glibc
import Spindle

final class Files: StreamProtocol {
    let transport: any StreamTransport
    private let file: FileRegion
    init(_ transport: any StreamTransport, _ file: FileRegion) {
        self.transport = transport
        self.file = file
    }
    func dataReceived(_ bytes: Span<UInt8>) { for _ in bytes.indices { transport.write(file) } }
}

let arguments = CommandLine.arguments.dropFirst()
guard let path = arguments.first else { fatalError("usage: FileServer PATH [PORT]") }
let file = try FileRegion(path: path)
var configuration = EngineConfiguration()
configuration.placement.cores = .count(1)
let engine = try Engine(configuration)
let listener = try engine.listen(on: .loopback(port: arguments.dropFirst().first.flatMap { UInt16($0) } ?? 0)) {
    Files($0, file)
}
print("listening on \(listener.address)")
fflush(nil)
try engine.run()
