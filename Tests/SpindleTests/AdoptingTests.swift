// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Suite("descriptors that somebody else has opened") struct Adopting {
        private func listeningSocket(sharedPort: Bool = false, at address: SocketAddress? = nil) throws -> StreamSocket
        {
            let socket = try StreamSocket.open(for: .loopback(port: 0))
            if sharedPort { try socket.set(.reusePort, 1) }
            try socket.bind(to: address ?? .loopback(port: 0))
            try socket.listen(backlog: 64)
            return socket
        }

        @Test(
            "C42: an adopted listener is served by every reactor; the caller's number can be closed at once",
            arguments: reactorCounts
        )
        func oneListener(reactors: Int) async throws {
            let theirs = try listeningSocket()
            let address = try theirs.localAddress()
            let server = try engine(reactors: reactors)
            let listener = try server.listen(adopting: [theirs.descriptor]) { Echo($0) }
            theirs.close()
            #expect(listener.address == address)
            try await server.start()
            let client = try await Client()
            for _ in 0..<10 { #expect(await client.exchange([1, 2, 3], with: address).received == [1, 2, 3]) }
            await client.stop()
            await server.stop()
        }

        @Test("C42: when the engine stops, the socket goes on for whoever else has it, with what has come to it")
        func othersGoOn() async throws {
            let theirs = try listeningSocket()
            let address = try theirs.localAddress()
            for _ in 0..<2 {
                let server = try engine(reactors: 2)
                try server.listen(adopting: [theirs.descriptor]) { Echo($0) }
                try await server.start()
                let client = try await Client()
                #expect(await client.exchange([7], with: address).received == [7])
                await client.stop()
                await server.stop()
            }
            let waiting = try StreamSocket.open(for: address)
            try waiting.connect(to: address)
            let server = try engine(reactors: 1)
            try server.listen(adopting: [theirs.descriptor]) { Echo($0) }
            try await server.start()
            let client = try await Client()
            #expect(await client.exchange([8], with: address).received == [8])
            #expect(server.snapshot()[.accepted] == 2, "who came in between was served as well")
            waiting.close()
            theirs.close()
            await client.stop()
            await server.stop()
        }

        @Test("of several sockets of one port each reactor gets its own, and more than reactors are all served")
        func several() async throws {
            for count in [2, 3] {
                let first = try listeningSocket(sharedPort: true)
                let address = try first.localAddress()
                let all = [first] + (try (1..<count).map { _ in try listeningSocket(sharedPort: true, at: address) })
                let server = try engine(reactors: 2)
                try server.listen(adopting: all.map(\.descriptor)) { Echo($0) }
                all.forEach { $0.close() }
                try await server.start()
                let client = try await Client()
                for _ in 0..<40 { #expect(await client.exchange([1], with: address).received == [1]) }
                #expect(server.snapshot().reactors.allSatisfy { $0[.accepted] > 0 })
                await client.stop()
                await server.stop()
            }
        }

        @Test("C42: what is no listening stream socket is refused, with the reason")
        func refused() throws {
            let server = try engine(reactors: 2)
            func reason(_ descriptor: Int32) -> String {
                do throws(AdoptError) { try server.listen(adopting: [descriptor]) { Echo($0) } } catch {
                    return error.reason
                }
                return "taken"
            }
            let bound = try StreamSocket.open(for: .loopback(port: 0))
            try bound.bind(to: .loopback(port: 0))
            let datagrams = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
            let file = unsafe open("/dev/null", O_RDONLY)
            #expect(reason(bound.descriptor).contains("does not listen"))
            #expect(reason(datagrams).contains("no stream socket"))
            #expect(reason(file).contains("no socket"))
            #expect(reason(9999).contains("not open"))
            bound.close()
            close(datagrams)
            close(file)
        }

        @Test("C42: an adopted connection is served like one that was accepted; one that is none is refused")
        func connection() async throws {
            let server = try engine(reactors: 1)
            try await server.start()
            var pair: [CInt] = [-1, -1]
            #expect(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
            let (ours, theirs) = (pair[0], pair[1])
            let results = Recorder<String>()
            let done = Gate()
            server.reactors[0].submit {
                guard let reactor = Reactor.current else { return }
                for descriptor in [theirs, 9999] {
                    do {
                        try reactor.adopt(connection: descriptor) { Echo($0) }
                        results.add("taken")
                    } catch { results.add("\(error)") }
                }
                done.arrive()
            }
            await done.wait()
            close(theirs)
            #expect(results.values == ["taken", "descriptor 9999 can't be used: it is not open"])
            #expect(unsafe write(ours, "hello", 5) == 5)
            shutdown(ours, CInt(SHUT_WR))
            var bytes = [UInt8](repeating: 0, count: 16)
            // Blocks until the echo is there, and then until the end.
            #expect(unsafe read(ours, &bytes, 16) == 5)
            #expect(bytes.prefix(5) == Array("hello".utf8)[...])
            #expect(unsafe read(ours, &bytes, 16) == 0)
            close(ours)
            await server.stop()
        }

        @Test("C42: a connection whose caller keeps his number can be adopted again, and is not heard of in between")
        func connectionAgain() async throws {
            let server = try engine(reactors: 1)
            try await server.start()
            var pair: [CInt] = [-1, -1]
            #expect(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
            let (ours, theirs) = (pair[0], pair[1])
            var bytes = [UInt8](repeating: 0, count: 16)
            for _ in 0..<3 {
                let ended = Gate()
                server.reactors[0].submitAlways {
                    // Answers once and lets go, without telling the peer: the caller goes on with the socket.
                    try Reactor.current!.adopt(connection: theirs) { Once($0, ended) }
                }
                #expect(unsafe write(ours, "hello", 5) == 5)
                #expect(unsafe read(ours, &bytes, 16) == 5)
                await ended.wait()
                #expect(unsafe write(ours, "x", 1) == 1)
                #expect(unsafe read(theirs, &bytes, 16) == 1)
            }
            #expect(server.snapshot()[.staleEvents] == 0)
            close(ours)
            close(theirs)
            await server.stop()
        }

        /// Answers, then resets: which is only this number's end.
        private final class Once: StreamProtocol {
            let transport: any StreamTransport
            private let ended: Gate
            init(_ transport: any StreamTransport, _ ended: Gate) { (self.transport, self.ended) = (transport, ended) }
            func dataReceived(_ bytes: Span<UInt8>) {
                transport.write(bytes)
                Reactor.current?.callSoon { [transport] in transport.abortConnection() }
            }
            // In a turn in which the descriptor is closed already.
            func connectionLost(_ reason: DisconnectReason) { Reactor.current?.callSoon { [ended] in ended.arrive() } }
        }

        @Test("a connection that is adopted within another one's callback takes none of its bytes")
        func adoptInCallback() async throws {
            final class Adopting: StreamProtocol {
                let transport: any StreamTransport
                let other: Int32
                init(_ transport: any StreamTransport, _ other: Int32) {
                    (self.transport, self.other) = (transport, other)
                }
                func dataReceived(_ bytes: Span<UInt8>) {
                    transport.write("first half;")
                    try? Reactor.current?.adopt(connection: other) { transport in
                        transport.write("greeting;")
                        return Echo(transport)
                    }
                    transport.write("second half;")
                    transport.loseConnection()
                }
            }
            var pair: [CInt] = [-1, -1]
            #expect(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
            let (ours, theirs) = (pair[0], pair[1])
            let server = try engine(reactors: 1)
            let address = try server.listen(on: .loopback(port: 0)) { Adopting($0, theirs) }.address
            try await server.start()
            let client = try await Client()
            let first = await client.exchange([1], with: address, halfClose: false)
            #expect(String(decoding: first.received, as: UTF8.self) == "first half;second half;")
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = unsafe read(ours, &bytes, 64)
            #expect(String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self) == "greeting;")
            close(ours)
            close(theirs)
            await client.stop()
            await server.stop()
        }

        @Test("C43: sockets that a service manager passes have names, and are for one process only")
        func passed() {
            let own = getpid()
            func names(_ pid: String?, _ count: String?, _ names: String?) -> [String] {
                PassedSockets.entries(pid: pid, count: count, names: names, ownPID: own).map {
                    "\($0.name)=\($0.descriptor)"
                }
            }
            #expect(names("\(own)", "2", "web:admin") == ["web=3", "admin=4"])
            #expect(names("\(own)", "3", "web::") == ["web=3", "unknown=4", "unknown=5"])
            #expect(names("\(own)", "1", nil) == ["unknown=3"])
            #expect(names("\(own + 1)", "1", "web").isEmpty)
            #expect(names(nil, "1", "web").isEmpty)
            for nonsense in ["", "-1", "0", "x", "99999999999"] { #expect(names("\(own)", nonsense, "web").isEmpty) }
        }

        @Test("a watched descriptor is told for as long as it is ready, and not after the watch was cancelled")
        func watch() async throws {
            let server = try engine(reactors: 1)
            try await server.start()
            var pipe: [CInt] = [-1, -1]
            #expect(unsafe Glibc.pipe(&pipe) == 0)
            let (reading, writing) = (pipe[0], pipe[1])
            let told = Recorder<Bool>()
            let third = Gate()
            let isWritable = Gate()
            server.reactors[0].submit {
                guard let reactor = Reactor.current else { return }
                var count = 0
                try reactor.watch(reading) { watch, readiness in
                    count += 1
                    told.add(readiness.contains(.readable))
                    // Nothing was read: it is told again.
                    guard count == 3 else { return }
                    watch.cancel()
                    third.arrive()
                }
                try reactor.watch(writing, for: .writable) { watch, _ in
                    try watch.wait(for: [])
                    isWritable.arrive()
                }
            }
            await isWritable.wait()
            #expect(told.values.isEmpty)
            #expect(unsafe write(writing, "x", 1) == 1)
            await third.wait()
            // Two turns later nothing more has come.
            let later = Gate()
            server.reactors[0].submit { Reactor.current?.callLater(.zero) { later.arrive() } }
            await later.wait()
            #expect(told.values == [true, true, true])
            await server.stop()
            close(reading)
            close(writing)
        }

        @Test("what can't be watched is refused with what to do, and a callback that throws ends its watch")
        func watchErrors() async throws {
            struct Planned: Error {}
            let log = CapturedLog()
            let server = try engine(reactors: 1, log: log)
            try await server.start()
            let file = unsafe open("/proc/self/exe", O_RDONLY)
            var pipe: [CInt] = [-1, -1]
            #expect(unsafe Glibc.pipe(&pipe) == 0)
            let (reading, writing) = (pipe[0], pipe[1])
            let results = Recorder<String>()
            let done = Gate()
            server.reactors[0].submit {
                guard let reactor = Reactor.current else { return }
                for descriptor in [file, 9999, writing, writing] {
                    do throws(WatchError) {
                        try reactor.watch(descriptor, for: .writable) { _, _ in throw Planned() }
                    } catch { results.add("\(error)") }
                }
                reactor.callLater(.milliseconds(1)) { done.arrive() }
            }
            await done.wait()
            #expect(results.values.count == 3)
            #expect(results.values[0].contains("blocking pool"))
            #expect(results.values[1].contains("it is not open"))
            #expect(results.values[2].contains("watches it already"))
            #expect(log.messages.filter { $0.contains("watch of descriptor \(writing) threw Planned()") }.count == 1)
            await server.stop()
            for descriptor in [file, reading, writing] { close(descriptor) }
        }
    }
}
