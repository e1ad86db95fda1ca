// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

/// Sends back what comes in, with the number of its reactor in front.
private final class Numbered: DatagramProtocol {
    let transport: any DatagramTransport
    private let ends: Recorder<String>?

    init(_ transport: any DatagramTransport, _ ends: Recorder<String>? = nil) {
        self.transport = transport
        self.ends = ends
    }

    func startProtocol() { ends?.add("started on \(transport.reactorIndex)") }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
        transport.reply([UInt8(transport.reactorIndex)] + bytes.indices.map { bytes[$0] })
    }
    func stopProtocol() { ends?.add("stopped on \(transport.reactorIndex)") }
}

/// Waits for so many datagrams, then hands them over and closes.
private final class Asking: DatagramProtocol {
    let transport: any DatagramTransport
    private var missing: Int
    private var received: [[UInt8]] = []
    private let done: CheckedContinuation<[[UInt8]], Never>

    init(_ transport: any DatagramTransport, _ count: Int, _ done: CheckedContinuation<[[UInt8]], Never>) {
        self.transport = transport
        missing = count
        self.done = done
    }

    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
        received.append(bytes.indices.map { bytes[$0] })
        missing -= 1
        if missing == 0 { transport.close() }
    }
    func connectionRefused() { transport.close() }
    func stopProtocol() { done.resume(returning: received) }
}

extension EngineTests {
    @Suite("UDP on every reactor") struct Datagrams {
        /// What answers come to these datagrams, from a socket of its own.
        private func ask(_ datagrams: [[UInt8]], at address: SocketAddress, with client: Engine) async -> [[UInt8]] {
            await withCheckedContinuation { done in
                client.reactors[0].submitAlways {
                    let reactor = Reactor.current!
                    do {
                        let transport = try reactor.openUDP(connectedTo: address) {
                            Asking($0, datagrams.count, done)
                        }
                        for datagram in datagrams { transport.send(datagram) }
                    } catch {
                        Issue.record("\(error)")
                        done.resume(returning: [])
                    }
                }
            }
        }

        private func withClient(_ body: (Engine) async throws -> Void) async throws {
            let client = try engine(reactors: 1)
            try await client.start()
            do { try await body(client) } catch {
                await client.stop()
                throw error
            }
            await client.stop()
        }

        @Test(
            "every reactor has a socket and a protocol of its own, and a peer stays with one",
            arguments: reactorCounts
        )
        func everyReactor(reactors: Int) async throws {
            let (server, ends) = (try engine(reactors: reactors), Recorder<String>())
            let listener = try server.listenUDP(on: .loopback(port: 0)) { Numbered($0, ends) }
            try await server.start()
            try await withClient { client in
                var used: Set<UInt8> = []
                for _ in 0..<64 {
                    let answers = await ask([[1], [2, 2], [3]], at: listener.address, with: client)
                    #expect(answers.map { $0.dropFirst() } == [[1], [2, 2], [3]])
                    #expect(Set(answers.map(\.first)).count == 1)
                    used.formUnion(answers.compactMap(\.first))
                }
                #expect(used.count == reactors)
            }
            await server.stop()
            #expect(
                ends.values.sorted()
                    == ["started", "stopped"].flatMap { what in
                        (0..<reactors).map { "\(what) on \($0)" }
                    }
            )
            #expect(server.snapshot()[.liveProtocols] == 0)
        }

        @Test("a port that somebody has is refused, shared by several or not", arguments: [1, 2])
        func taken(reactors: Int) async throws {
            let first = try engine(reactors: reactors)
            let listener = try first.listenUDP(on: .loopback(port: 0)) { Numbered($0) }
            let second = try engine(reactors: 2)
            let error = #expect(throws: DatagramError.self) {
                try second.listenUDP(on: listener.address) { Numbered($0) }
            }
            #expect(error?.description.contains("another program has the port") == true)
            await listener.stopListening()
            try second.listenUDP(on: listener.address) { Numbered($0) }
            try await second.start()
            await second.stop()
        }

        @Test("a listener can be stopped while the engine goes on: what is sent there then is refused")
        func stopping() async throws {
            let (server, ends) = (try engine(reactors: 2), Recorder<String>())
            try await server.start()
            let listener = try server.listenUDP(on: .loopback(port: 0)) { Numbered($0, ends) }
            try await withClient { client in
                #expect(await ask([[7]], at: listener.address, with: client).count == 1)
                await listener.stopListening()
                #expect(await ask([[7]], at: listener.address, with: client).isEmpty)
            }
            #expect(ends.values.count { $0.hasPrefix("stopped") } == 2)
            await server.stop()
        }

        @Test("a protocol that can't be made is logged, and its socket closed; the engine goes on")
        func refusing() async throws {
            struct Refusal: Error {}
            let log = CapturedLog()
            let server = try engine(reactors: 1, log: log)
            let listener = try server.listenUDP(on: .loopback(port: 0)) { _ in throw Refusal() }
            try await server.start()
            #expect(log.messages.contains { $0.contains("its protocol could not be made: Refusal()") })
            try await withClient { client in
                #expect(await ask([[7]], at: listener.address, with: client).isEmpty)
            }
            await server.stop()
        }

        @Test("C42: adopted UDP sockets belong to the reactors in turn; the caller's numbers can be closed at once")
        func adopting() async throws {
            func theirs() throws -> DatagramSocket {
                let socket = try DatagramSocket.open(for: .loopback(port: 0))
                try socket.bind(to: .loopback(port: 0))
                return socket
            }
            let server = try engine(reactors: 2)
            let sockets = [try theirs(), try theirs(), try theirs()]
            let addresses = try sockets.map { try $0.localAddress() }
            try server.listenUDP(adopting: sockets.map(\.descriptor)) { Numbered($0) }
            sockets[1].close()
            try await server.start()
            try await withClient { client in
                for (address, reactor) in zip(addresses, [0, 1, 0] as [UInt8]) {
                    #expect(await ask([[5]], at: address, with: client) == [[reactor, 5]])
                }
            }
            await server.stop()
            // The engine's numbers are closed: the socket whose caller has closed his is gone.
            let again = try DatagramSocket.open(for: addresses[1])
            try again.bind(to: addresses[1])
            again.close()
            for index in [0, 2] { sockets[index].close() }
        }

        @Test("C42: an adopted socket can be adopted again, on the same engine; only its losses here are counted")
        func adoptingAgain() async throws {
            let theirs = try DatagramSocket.open(for: .loopback(port: 0))
            try theirs.common.set(.receiveBuffer, 4096)
            try theirs.bind(to: .loopback(port: 0))
            let address = try theirs.localAddress()
            try await withClient { client in
                // Nobody receives: most of these are lost before the engine has the socket.
                let flood = Gate()
                client.reactors[0].submitAlways {
                    let transport = try Reactor.current!.openUDP(connectedTo: address) { Numbered($0) }
                    for _ in 0..<300 { transport.send([UInt8](repeating: 1, count: 1000)) }
                    transport.close()
                    flood.arrive()
                }
                await flood.wait()
                #expect(theirs.dropCount ?? 0 > 100)
                let server = try engine(reactors: 1)
                try await server.start()
                for _ in 0..<3 {
                    let listener = try server.listenUDP(adopting: [theirs.descriptor]) { Numbered($0) }
                    #expect(listener.addresses == [address])
                    #expect(await ask([[5]], at: address, with: client) == [[0, 5]])
                    await listener.stopListening()
                }
                #expect(server.snapshot()[.datagramsOverrun] == 0 && server.snapshot()[.staleEvents] == 0)
                await server.stop()
            }
            theirs.close()
        }

        @Test("an adopted socket that is connected has its peer, and each of several its address")
        func adoptingConnected() async throws {
            let (theirs, peer) = (
                try DatagramSocket.open(for: .loopback(port: 0)), try DatagramSocket.open(for: .loopback(port: 0))
            )
            for socket in [theirs, peer] { try socket.bind(to: .loopback(port: 0)) }
            try theirs.connect(to: try peer.localAddress())
            let (server, peers) = (try engine(reactors: 1), Recorder<SocketAddress?>())
            let listener = try server.listenUDP(adopting: [theirs.descriptor, peer.descriptor]) {
                peers.add($0.peerAddress)
                return Numbered($0)
            }
            #expect(try listener.addresses == [theirs.localAddress(), peer.localAddress()])
            try await server.start()
            await server.stop()
            #expect(try peers.values == [peer.localAddress(), nil])
            theirs.close()
            peer.close()
        }

        @Test("a task that goes on after the engine's stop is told that the socket is closed")
        func lateReply() async throws {
            let server = try engine(reactors: 1)
            let (here, goOn, done) = (Gate(), Gate(), Gate())
            let outcomes = Recorder<DatagramOutcome>()
            let listener = try server.serveUDP(on: .loopback(port: 0)) { endpoint in
                guard let datagram = try await endpoint.receive() else { return }
                here.arrive()
                // Not cancelled by the stop.
                await Task.detached { await goOn.wait() }.value
                outcomes.add(datagram.reply("late"))
                outcomes.add(endpoint.send("late", to: datagram.peer))
                endpoint.close()
                done.arrive()
            }
            try await server.start()
            try await withClient { client in
                client.reactors[0].submitAlways {
                    try Reactor.current!.openUDP(connectedTo: listener.address) { Numbered($0) }.send("early")
                }
                await here.wait()
            }
            await server.stop(deadline: .milliseconds(1))
            goOn.arrive()
            await done.wait()
            #expect(outcomes.values == [.dropped(.closed), .dropped(.closed)])
        }

        @Test("what is no UDP socket, or is bound to no port, is refused with the reason")
        func notAdopted() async throws {
            let server = try engine(reactors: 1)
            let stream = try StreamSocket.open(for: .loopback(port: 0))
            let unbound = try DatagramSocket.open(for: .loopback(port: 0))
            for (descriptor, reason) in [
                (stream.descriptor, "it is no UDP socket"), (unbound.descriptor, "bind(2)"), (-1, "it is not open"),
            ] {
                let error = #expect(throws: AdoptError.self) {
                    try server.listenUDP(adopting: [descriptor]) { Numbered($0) }
                }
                #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
            }
            stream.close()
            unbound.close()
        }

        @Test("a task receives and answers, and sees the end when the engine stops", arguments: [1, 2])
        func handler(reactors: Int) async throws {
            let (server, ends) = (try engine(reactors: reactors), Recorder<String>())
            let listener = try server.serveUDP(on: .loopback(port: 0)) { endpoint in
                while let datagram = try await endpoint.receive() {
                    #expect(Reactor.current?.index == endpoint.transport.reactorIndex)
                    datagram.reply(datagram.bytes)
                }
                ends.add("ended on \(endpoint.transport.reactorIndex)")
            }
            try await server.start()
            try await withClient { client in
                for round in 0..<20 {
                    let sent = (0..<10).map { [UInt8(round), UInt8($0)] }
                    #expect(await ask(sent, at: listener.address, with: client) == sent)
                }
            }
            await server.stop()
            #expect(ends.values.sorted() == (0..<reactors).map { "ended on \($0)" })
        }

        @Test("a task gets all that came, though more came at once than it keeps at hand")
        func handlerQueue() async throws {
            let server = try engine(reactors: 1) { $0.limits.datagramsPerReceive = 2 }
            let listener = try server.serveUDP(on: .loopback(port: 0)) { endpoint in
                while let datagram = try await endpoint.receive() { datagram.reply(datagram.bytes) }
            }
            try await server.start()
            try await withClient { client in
                let sent = (0..<50).map { [UInt8](repeating: UInt8($0), count: $0 + 1) }
                #expect(await ask(sent, at: listener.address, with: client) == sent)
            }
            await server.stop()
        }

        @Test("a task's answers are limited as a callback's are, now or later; its return closes the socket")
        func handlerLimits() async throws {
            let (server, outcomes) = (try engine(reactors: 1), Recorder<DatagramOutcome>())
            let closed = Gate()
            let listener = try server.serveUDP(on: .loopback(port: 0)) { endpoint in
                guard let first = try await endpoint.receive(), let second = try await endpoint.receive() else {
                    return
                }
                for count in [2, 2, 1] { outcomes.add(first.reply([UInt8](repeating: 1, count: count))) }
                outcomes.add(second.reply("abc"))
                endpoint.close()
                outcomes.add(first.reply([]))
                #expect(try await endpoint.receive() == nil)
                closed.arrive()
            }
            try await server.start()
            try await withClient { client in
                #expect(await ask([[9], [8]], at: listener.address, with: client) == [[1, 1], [1]])
            }
            await closed.wait()
            #expect(
                outcomes.values == [
                    .queued, .dropped(.overReplyLimit), .queued, .queued, .dropped(.closed),
                ]
            )
            await server.stop()
        }

        @Test("a task that waits for datagrams can be cancelled")
        func cancelling() async throws {
            let (server, ended) = (try engine(reactors: 1), Gate())
            try server.serveUDP(on: .loopback(port: 0)) { endpoint in
                // Used by this reactor alone, which the compiler can't know of a task that hops there.
                nonisolated(unsafe) let shared = endpoint
                let handle = Reactor.current!.handle
                let receiving = Task {
                    await handle.execute { _ in
                        do { return try unsafe await shared.receive() != nil } catch {
                            return error is CancellationError
                        }
                    }
                }
                while unsafe !shared.isAwaited { await Task.yield() }
                receiving.cancel()
                #expect(await receiving.value)
                ended.arrive()
            }
            try await server.start()
            await ended.wait()
            await server.stop()
        }
    }
}
