// SPDX-License-Identifier: Apache-2.0
//
// A server of one file: each byte of a request is answered with all of it. What `file_send` of the floor is in C.
//
// usage: FileServer PATH [PORT [sendfile|copy|zerocopy]]      prints `listening on 127.0.0.1:PORT`

import Glibc
import Spindle

/// What is sent: the file, or its bytes in memory, from there or by a copy.
enum Content {
    case file(FileRegion)
    case memory(ByteChunk)
}

final class Files: StreamProtocol {
    let transport: any StreamTransport
    private let content: Content
    init(_ transport: any StreamTransport, _ content: Content) {
        self.transport = transport
        self.content = content
    }
    func dataReceived(_ bytes: Span<UInt8>) {
        for _ in bytes.indices {
            switch content {
            case .file(let file): transport.write(file)
            case .memory(let chunk): transport.write(chunk)
            }
        }
    }
}

let arguments = Array(CommandLine.arguments.dropFirst())
guard let path = arguments.first else { fatalError("usage: FileServer PATH [PORT [sendfile|copy|zerocopy]]") }
let port = arguments.count > 1 ? UInt16(arguments[1]) ?? 0 : 0
let mode = arguments.count > 2 ? arguments[2] : "sendfile"
let file = try FileRegion(path: path)
let content = try mode == "sendfile" ? Content.file(file) : .memory(ByteChunk(file.read(atMost: file.count)))
var configuration = EngineConfiguration()
configuration.placement.cores = .count(1)
if mode == "zerocopy" { configuration.limits.zeroCopyBytes = 10_000 }
let engine = try Engine(configuration)
let listener = try engine.listen(on: .loopback(port: port)) { Files($0, content) }
print("listening on \(listener.address)")
fflush(nil)
try engine.run()
