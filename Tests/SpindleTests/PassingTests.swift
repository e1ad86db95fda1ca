// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Suite("descriptors passed over Unix sockets") struct Passing {
        static func name(_ what: String) -> SocketAddress { .unix("@spindle-\(what)-\(getpid())") }

        /// A blocking peer in the test's own hands.
        static func connect(to name: SocketAddress) throws -> StreamSocket {
            let socket = try StreamSocket.open(for: name)
            try socket.connect(to: name)
            return socket
        }

        private static func send(_ text: StaticString, passing descriptors: [CInt] = [], over socket: StreamSocket) {
            text.withUTF8Buffer { bytes in
                var piece = unsafe SendPiece(base: UnsafeRawPointer(bytes.baseAddress), byteCount: bytes.count)
                unsafe withUnsafeMutablePointer(to: &piece) { piece in
                    let pieces = unsafe UnsafeMutableBufferPointer(start: piece, count: 1)
                    let sent =
                        unsafe descriptors.isEmpty
                        ? socket.send(pieces) : socket.send(pieces, passing: descriptors)
                    #expect(sent == .bytes(bytes.count))
                }
            }
        }

        /// Collects up to an end mark, and starts with a pause until the test says.
        private final class Collecting: StreamProtocol {
            let transport: any StreamTransport
            private var text = ""
            private let done: @Sendable (String) -> Void
            init(_ transport: any StreamTransport, _ done: @escaping @Sendable (String) -> Void) {
                self.transport = transport
                self.done = done
            }
            func connectionMade() { transport.pauseProducing() }
            func dataReceived(_ bytes: Span<UInt8>) {
                for index in bytes.indices { text.unicodeScalars.append(Unicode.Scalar(bytes[index])) }
                if text.hasSuffix(".") { done(text) }
            }
        }

        @Test("what comes behind descriptors that nobody asked for is read all the same", .timeLimit(.minutes(1)))
        func unwanted() async throws {
            let server = try engine(reactors: 1)
            let (name, made, read) = (Passing.name("unwanted"), Gate(), Gate())
            let got = Recorder<String>()
            try server.listen(on: name) { transport in
                made.arrive()
                return Collecting(transport) {
                    got.add($0)
                    read.arrive()
                }
            }
            try await server.start()
            let peer = try Passing.connect(to: name)
            await made.wait()
            Passing.send("one ", over: peer)
            Passing.send("two ", passing: [0, 1], over: peer)
            Passing.send("three ", passing: [2], over: peer)
            Passing.send("four.", over: peer)
            server.reactors[0].submit { Reactor.current?.forEachConnection { $0.resumeProducing() } }
            await read.wait()
            #expect(got.values == ["one two three four."])
            peer.close()
            await server.stop()
        }

        // MARK: Sending and taking

        /// What a blocking peer receives: bytes and descriptors, until the end.
        static func receiveAll(over socket: StreamSocket) -> (
            bytes: [UInt8], passed: [(at: Int, PassedDescriptor)]
        ) {
            var (bytes, passed): ([UInt8], [(at: Int, PassedDescriptor)]) = ([], [])
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                var arrived = PassedDescriptors(room: StreamSocket.mostPassed)
                switch unsafe buffer.withUnsafeMutableBytes({ unsafe socket.receive(into: $0, &arrived) }) {
                case .bytes(let count):
                    #expect(!arrived.areIncomplete)
                    bytes += buffer[..<count]
                    passed += arrived.descriptors.map { (bytes.count, $0) }
                case .wouldBlock: waitReadable(socket)
                case .end, .failed: return (bytes, passed)
                }
            }
        }

        private static func waitReadable(_ socket: StreamSocket) {
            var wanted = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&wanted, 1, 10_000)
        }

        /// Which open file it is: of two numbers for one file the same.
        static func identity(of descriptor: Int32) -> String {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else { return "closed" }
            return "\(status.st_dev) \(status.st_ino)"
        }

        /// A pipe, for its identity.
        final class Pipe {
            let (reading, writing): (Int32, Int32)
            init() {
                var numbers: [Int32] = [-1, -1]
                _ = unsafe pipe(&numbers)
                (reading, writing) = (numbers[0], numbers[1])
            }
            deinit {
                close(reading)
                close(writing)
            }
        }

        @Test(
            "descriptors arrive with their bytes, however much waits before and between them",
            arguments: [10, 400_000]
        )
        func sent(size: Int) async throws {
            let server = try engine(reactors: 1) { $0.limits.writeLimitBytes = 8 << 20 }
            let name = Passing.name("sent")
            let identities = Recorder<String>()
            try server.listen(on: name) { transport in
                final class Sending: StreamProtocol {
                    let transport: any StreamTransport
                    let size: Int
                    let identities: Recorder<String>
                    init(_ transport: any StreamTransport, _ size: Int, _ identities: Recorder<String>) {
                        (self.transport, self.size, self.identities) = (transport, size, identities)
                    }
                    typealias Failure = any Error
                    func connectionMade() throws {
                        transport.write([UInt8](repeating: 1, count: size))
                        for letter in UInt8(2)...4 {
                            let pipe = Pipe()
                            identities.add(Passing.identity(of: pipe.reading))
                            try transport.write([letter].span, passing: [pipe.reading, pipe.writing])
                            transport.write([UInt8](repeating: 9, count: size))
                            // The pipe is closed here: what is sent are duplicates.
                        }
                        transport.loseConnection()
                    }
                    func dataReceived(_ bytes: Span<UInt8>) {}
                }
                return Sending(transport, size, identities)
            }
            try await server.start()
            let peer = try Passing.connect(to: name)
            let (bytes, passed) = Passing.receiveAll(over: peer)
            let nines = [UInt8](repeating: 9, count: size)
            #expect(bytes == [UInt8](repeating: 1, count: size) + [2] + nines + [3] + nines + [4] + nines)
            #expect(passed.count == 6)
            #expect(
                passed.indices.filter { $0 % 2 == 0 }.map { Passing.identity(of: passed[$0].1.rawValue) }
                    == identities.values
            )
            // Each is there when its byte is.
            for (index, entry) in passed.enumerated() { #expect(entry.at >= (size + 1) * (index / 2 + 1)) }
            peer.close()
            await server.stop()
        }

        /// Takes what comes and tells of it.
        private final class Taking: StreamProtocol {
            let transport: any StreamTransport
            let log: Recorder<String>
            let ended: Gate
            init(_ transport: any StreamTransport, limit: Int, _ log: Recorder<String>, _ ended: Gate) {
                (self.transport, self.log, self.ended) = (transport, log, ended)
                transport.passedDescriptorLimit = limit
            }
            func dataReceived(_ bytes: Span<UInt8>) {
                guard bytes[bytes.count - 1] != UInt8(ascii: "?") else { return }
                for passed in transport.takePassedDescriptors() {
                    #expect(fcntl(passed.rawValue, F_GETFD) & FD_CLOEXEC != 0)
                    log.add(Passing.identity(of: passed.rawValue))
                }
            }
            func connectionLost(_ reason: DisconnectReason) {
                log.add("\(reason)")
                ended.arrive()
            }
        }

        @Test("descriptors are taken in order, once, and those that nobody takes are closed with the connection")
        func taken() async throws {
            let server = try engine(reactors: 1)
            let (name, log, ended) = (Passing.name("taken"), Recorder<String>(), Gate())
            try server.listen(on: name) { Taking($0, limit: 4, log, ended) }
            try await server.start()
            let peer = try Passing.connect(to: name)
            let pipes = [Pipe(), Pipe(), Pipe()]
            Passing.send("a", passing: [pipes[0].reading], over: peer)
            Passing.send("b", passing: [pipes[1].reading, pipes[2].writing], over: peer)
            Passing.send("c", over: peer)
            Passing.send("?", passing: [pipes[0].writing], over: peer)
            peer.close()
            await ended.wait()
            #expect(log.values == pipes.map { Passing.identity(of: $0.reading) } + ["done"])
            await server.stop()
        }

        @Test("a peer that passes more than may wait is cut off, and nothing of it is left open")
        func tooMany() async throws {
            let server = try engine(reactors: 1)
            let (name, log, ended) = (Passing.name("many"), Recorder<String>(), Gate())
            try server.listen(on: name) { Taking($0, limit: 3, log, ended) }
            try await server.start()
            let peer = try Passing.connect(to: name)
            Passing.send("?", passing: [0, 1], over: peer)
            Passing.send("?", passing: [0, 1], over: peer)
            await ended.wait()
            #expect(log.values == ["\(PassingError.lost(limit: 3))"])
            peer.close()
            await server.stop()
        }

        @Test("what can't be passed is refused with the reason, and the connection goes on")
        func refusals() async throws {
            let server = try engine(reactors: 1)
            let (name, log) = (Passing.name("refusals"), Recorder<PassingError>())
            let build: @Sendable (any StreamTransport) -> Echo = { transport in
                func attempt(_ text: String, _ descriptors: [Int32]) {
                    do throws(PassingError) {
                        try transport.write(Array(text.utf8).span, passing: descriptors)
                    } catch { log.add(error) }
                }
                attempt("x", [0, 99_999])
                attempt("x", [Int32](repeating: 0, count: 254))
                attempt("", [0])
                attempt("ok ", [])
                attempt("ok ", transport.peerAddress.isUnix ? [Int32](repeating: 0, count: 253) : [])
                return Echo(transport)
            }
            try server.listen(on: name, build)
            let tcp = try server.listen(on: .loopback(port: 0), build)
            try await server.start()
            let client = try await Client()
            #expect(await client.exchange([1], with: name).received == Array("ok ok ".utf8) + [1])
            #expect(log.values == [.refused(descriptor: 99_999, .badDescriptor), .tooMany(limit: 253), .noBytes])
            log.clear()
            #expect(await client.exchange([1], with: tcp.address).received == [1])
            #expect(log.values == [.notUnix, .notUnix, .noBytes, .notUnix, .notUnix])
            await client.stop()
            await server.stop()
        }

        @Test("a connection that moves to another core takes along what came and what is to be sent")
        func handedOff() async throws {
            let server = try engine(reactors: 2)
            let (name, log, ended) = (Passing.name("moves"), Recorder<String>(), Gate())
            let (given, sent) = (Pipe(), Pipe())
            let writing = sent.writing
            final class Leaving: StreamProtocol {
                let transport: any StreamTransport
                let leave: (any StreamTransport) -> Void
                init(_ transport: any StreamTransport, _ leave: @escaping (any StreamTransport) -> Void) {
                    (self.transport, self.leave) = (transport, leave)
                    transport.passedDescriptorLimit = 2
                }
                func dataReceived(_ bytes: Span<UInt8>) { leave(transport) }
            }
            try server.listen(on: name) { [unowned server] transport in
                Leaving(transport) { transport in
                    try? transport.write([7].span, passing: [writing])
                    let here = Reactor.current?.index ?? 0
                    transport.handOff(to: server.reactors[1 - here]) { transport in
                        #expect(transport.passedDescriptorLimit == 2)
                        for passed in transport.takePassedDescriptors() {
                            log.add(Passing.identity(of: passed.rawValue))
                        }
                        transport.loseWriteConnection()
                        return Taking(transport, limit: 2, log, ended)
                    }
                }
            }
            try await server.start()
            let peer = try Passing.connect(to: name)
            Passing.send("x", passing: [given.reading], over: peer)
            let (bytes, passed) = Passing.receiveAll(over: peer)
            #expect(
                bytes == [7]
                    && passed.map { Passing.identity(of: $0.1.rawValue) } == [Passing.identity(of: sent.reading)]
            )
            peer.close()
            await ended.wait()
            #expect(log.values == [Passing.identity(of: given.reading), "done"])
            await server.stop()
        }

        @Test("a listener passed from one engine to another is served there: a restart that closes nothing")
        func restart() async throws {
            let old = try engine(reactors: 1)
            let name = Passing.name("restart")
            let listening = try StreamSocket.open(for: .loopback(port: 0))
            try listening.bind(to: .loopback(port: 0))
            try listening.listen(backlog: 16)
            let descriptor = listening.descriptor
            let address = try old.listen(adopting: [descriptor]) { Echo($0) }.address
            try old.serve(on: name) { connection in
                try connection.write([1].span, passing: [descriptor])
            }
            try await old.start()
            let new = try engine(reactors: 1)
            try await new.start()
            try await new.withConnection(to: .address(name)) { connection in
                connection.passedDescriptorLimit = 1
                _ = try await connection.read()
                let passed = connection.takePassedDescriptors()
                try new.listen(adopting: passed.map(\.rawValue)) { Echo($0) }
            }
            listening.close()
            await old.stop()
            let client = try await Client()
            #expect(await client.exchange([5], with: address).received == [5])
            await client.stop()
            await new.stop()
        }

        /// As the example of StreamWrapper's documentation.
        private final class Capitals: StreamWrapper {
            let transport: any StreamTransport
            var inner: (any StreamProtocol)?
            init(_ transport: any StreamTransport) { self.transport = transport }
            func write(_ bytes: Span<UInt8>) {
                transport.write(bytes.indices.map { (97...122).contains(bytes[$0]) ? bytes[$0] - 32 : bytes[$0] })
            }
        }

        @Test("what goes out with descriptors is what wrappers make of it, and passes them all")
        func wrapped() async throws {
            final class Passer: StreamProtocol {
                typealias Failure = any Error
                let transport: any StreamTransport
                init(_ transport: any StreamTransport) { self.transport = transport }
                func connectionMade() throws {
                    transport.write("one ")
                    try transport.write(Array("two ".utf8).span, passing: [0])
                    transport.write("three")
                    transport.loseConnection()
                }
                func dataReceived(_ bytes: Span<UInt8>) {}
            }
            let server = try engine(reactors: 1)
            let name = Passing.name("wrapped")
            try server.listen(on: name) { transport in
                let outer = Capitals(transport)
                outer.inner = Passer(outer)
                return outer
            }
            try await server.start()
            let peer = try Passing.connect(to: name)
            let (bytes, passed) = Passing.receiveAll(over: peer)
            #expect(String(decoding: bytes, as: UTF8.self) == "ONE TWO THREE" && passed.count == 1)
            #expect(passed[0].at > 4)
            peer.close()
            await server.stop()
        }

        @Test("descriptors that wait to be sent have a limit, for one byte and in all")
        func waiting() async throws {
            let server = try engine(reactors: 1)
            let (name, log) = (Passing.name("waiting"), Recorder<PassingError>())
            try server.listen(on: name) { transport in
                func attempt(_ count: Int, thenWrite: Bool) {
                    do throws(PassingError) {
                        try transport.pass([Int32](repeating: 0, count: count))
                        if thenWrite { transport.write("x") }
                    } catch { log.add(error) }
                }
                attempt(200, thenWrite: false)
                attempt(54, thenWrite: false)
                attempt(53, thenWrite: true)
                for _ in 0..<4 { attempt(200, thenWrite: true) }
                transport.write("y")
                transport.loseConnection()
                return Echo(transport)
            }
            try await server.start()
            let peer = try Passing.connect(to: name)
            let (bytes, passed) = Passing.receiveAll(over: peer)
            #expect(log.values == [.tooMany(limit: 253), .tooMany(limit: 1024)])
            #expect(String(decoding: bytes, as: UTF8.self) == "xxxxy" && passed.count == 253 + 3 * 200)
            peer.close()
            await server.stop()
        }
    }
}
