// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("accepting") struct Accepting {
        @Test(
            "C40: each error of accept(2) has its row: skipped, shed, rested after, or reported, and all are served",
            arguments: [
                Errno.connectionAborted, .notPermitted, .interrupted, .protocolError, .noBufferSpace, .noMemory,
                .tooManyFiles, .tooManyFilesInSystem, .invalidArgument,
            ]
        )
        func acceptErrors(errno: Errno) throws {
            try withBench(.simulated) { bench in
                let address = try bench.listen()
                bench.network?.failNextAccepts(at: address, with: [errno])
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn(times: 3)
                // A connection that the error takes with it, or that is shed, is the only one not served.
                let lost = [.connectionAborted, .tooManyFiles, .tooManyFilesInSystem].contains(errno) ? 1 : 0
                bench.advance(by: AcceptPolicy.restTime * 2)
                bench.turn("the others are served") { bench.protocols.count == 3 - lost }
                #expect(bench.reactor.counters.errors[errno] == 1)
                #expect(clients.count { $0.isOver } == lost)
                let isQuiet = [.connectionAborted, .notPermitted, .interrupted, .protocolError].contains(errno)
                #expect(bench.log.records.isEmpty == isQuiet)
                #expect(bench.counter(.shed) == ([.tooManyFiles, .tooManyFilesInSystem].contains(errno) ? 1 : 0))
            }
        }

        @Test("C40: a turn accepts a budget's worth, the next turns the rest", arguments: DriverKind.allCases)
        func acceptBudget(kind: DriverKind) throws {
            try withBench(kind) {
                $0.configuration.acceptBudget = 4
            } _: { bench in
                let address = try bench.listen()
                _ = try (0..<11).map { _ in try bench.connect(to: address) }
                var counts: [Int] = []
                for _ in 0..<6 {
                    bench.turnReactor()
                    counts.append(bench.protocols.count)
                }
                #expect(counts.last == 11)
                #expect(zip([0] + counts, counts).allSatisfy { $1 - $0 <= 4 })
                #expect(bench.counter(.acceptBudgetExhausted) >= 2)
            }
        }

        @Test("while ended connections pile up, fewer are accepted than closed")
        func acceptBehindCloses() throws {
            try withBench(.simulated) {
                $0.configuration.acceptBudget = 32
                $0.configuration.closeBudget = 4
            } _: { bench in
                let address = try bench.listen { proto, callback in
                    if callback == .made { proto.transport.abortConnection() }
                }
                var most = 0
                for _ in 0..<100 {
                    for _ in 0..<16 { _ = try bench.connect(to: address) }
                    bench.turnReactor()
                    most = max(most, bench.reactor.table.count)
                }
                // One batch of 32 may come before the queue is seen; after it, the number only falls.
                #expect(most <= 64)
                bench.network?.descriptorLimit = nil
                bench.turn("all are closed") {
                    bench.counter(.closed) == bench.counter(.accepted) && bench.counter(.accepted) == 1600
                }
            }
        }

        @Test("C41: with no descriptor left, surplus clients are closed at once and the log says so once")
        func descriptorsRunOut() throws {
            try withBench(.simulated) { bench in
                let address = try bench.listen { proto, callback in
                    if callback == .data { proto.transport.write(proto.received) }
                }
                bench.network?.descriptorLimit = 1 + 5
                let clients = try (0..<12).map { _ in try bench.connect(to: address) }
                bench.turn("the surplus is closed") {
                    bench.advance(by: AcceptPolicy.restTime)
                    return bench.protocols.count == 5 && clients.count { $0.isOver } == 7
                }
                #expect(bench.counter(.shed) == 7)
                #expect(bench.log.count(containing: "no descriptor left") <= 2)
                for client in clients where !client.isOver { client.send("still here") }
                bench.turn("the others still echo") { clients.count { $0.text == "still here" } == 5 }
                let waits = bench.counter(.waits)
                #expect(bench.reactor.readyAcceptors.isEmpty, "it would spin")
                #expect(bench.counter(.waits) == waits)
                clients.first { !$0.isOver }?.close()
                bench.turn("one has left") { bench.counter(.closed) == 1 }
                let next = try bench.connect(to: address)
                bench.turn("its place is taken") {
                    bench.advance(by: AcceptPolicy.restTime)
                    return bench.protocols.count == 6
                }
                #expect(!next.isOver)
            }
        }

        @Test("C41: at the process's own limit of descriptors nobody hangs, and old connections go on")
        func descriptorLimitOfTheProcess() async {
            // In a process of its own: the limit is everybody's.
            await #expect(processExitsWith: .success) {
                try withBench(.epoll) { bench in
                    let address = try bench.listen { proto, callback in
                        if callback == .data { proto.transport.write(proto.received) }
                    }
                    // The clients' descriptors come first; then room for three connections is left, or one more or
                    // less: Swift's runtime may open or close a descriptor at any moment.
                    let clients = try (0..<10).map { _ in try bench.connect(to: address) }
                    let next = try #require(DescriptorLimit.reserve())
                    Descriptor.close(next)
                    _ = try DescriptorLimit.setSoft(to: UInt64(next) + 3)
                    bench.turn("all have an answer") {
                        bench.protocols.count + clients.count { $0.isOver } == 10
                    }
                    let served = bench.protocols.count
                    #expect((2...4).contains(served) && Int(bench.counter(.shed)) == 10 - served)
                    for client in clients where !client.isOver { client.send("x") }
                    bench.turn("they echo") { clients.count { $0.text == "x" } == served }
                    clients.first { $0.text == "x" }?.close()
                    bench.turn("one has left") { bench.counter(.closed) == 1 }
                    #expect(bench.protocols.count == served && Int(bench.counter(.shed)) == 10 - served)
                }
            }
        }

        @Test("C44: NODELAY is on and KEEPALIVE off by default; both can be set, and read back what the kernel has")
        func options() throws {
            try withBench(.epoll) { bench in
                let (_, proto) = try bench.pair()
                #expect(proto.transport.noDelay && !proto.transport.keepAlive)
                proto.transport.noDelay = false
                proto.transport.keepAlive = true
                #expect(!proto.transport.noDelay && proto.transport.keepAlive)
                let socket = StreamSocket(descriptor: bench.connection(of: proto).handle.rawValue)
                #expect(socket.value(of: .noDelay) == 0 && socket.value(of: .keepAlive) == 1)
                proto.transport.abortConnection()
                bench.turn("it is closed") { bench.counter(.closed) == 1 }
                // The descriptor's number may be another's by now.
                proto.transport.noDelay = true
                #expect(!proto.transport.noDelay && !proto.transport.keepAlive)
                let error = #expect(throws: SocketOptionError.self) { try proto.transport.set(.quickAck, to: true) }
                #expect(error == SocketOptionError(.quickAck, .badDescriptor))
            }
        }

        @Test("C45: an event of a registration that is gone is counted and reaches nobody", arguments: [1, 2, 4])
        func staleEvents(reactors: Int) throws {
            try withBench(DriverKind(isEpoll: false, reactorCount: reactors)) { bench in
                let (client, old) = try bench.pair()
                let token = bench.connection(of: old).token
                client.close()
                bench.turn("it is closed") { bench.counter(.closed) == 1 }
                let second = try bench.connect(to: .loopback(port: try #require(client.serverPort)))
                bench.turn("the slot is used again") { bench.protocols.count == 2 }
                #expect(bench.connection(of: bench.protocols[1]).token.slot == token.slot)
                for readiness in [Readiness.readable, .writable, .error, .hangUp] {
                    bench.network?.makeUp(DriverEvent(token: token, readiness: readiness), at: bench.reactor.index)
                }
                bench.network?.makeUp(
                    DriverEvent(token: EventToken(listener: 7), readiness: .readable),
                    at: bench.reactor.index
                )
                bench.turn(times: 3)
                #expect(bench.counter(.staleEvents) == 5)
                #expect(bench.protocols[1].callbacks == [.made] && !second.isOver)
            }
        }

        @Test("C45: a descriptor that is closed and used again within a batch gets no event of the old one")
        func reuseInBatch() throws {
            try withBench(.epoll) {
                $0.configuration.lingerTimeout = .zero
            } _: { bench in
                let address = try bench.listen()
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 2 }
                let (first, second) = (bench.protocols[0], bench.protocols[1])
                let handle = bench.connection(of: second).handle
                var third: ContractClient?
                first.onBytes = { [bench] _, _ in
                    third = try bench.connect(to: address)
                    // Closed at once and not by the budget, so that the number is free within this batch.
                    let gone = bench.connection(of: second)
                    bench.reactor.end(gone, .aborted, reset: true)
                    bench.reactor.closeEnded()
                }
                for client in clients { client.send("x") }
                bench.turn("the first was told") { first.received.count == 1 }
                #expect(second.received.isEmpty || second.callbacks.last == .lost)
                bench.turn("a third stands") { bench.protocols.count == 3 }
                #expect(bench.connection(of: bench.protocols[2]).handle == handle)
                third?.send("own")
                bench.turn("it gets its own bytes") { bench.protocols[2].received == Array("own".utf8) }
            }
        }

        @Test(
            "N7: what waits in a listener's queue when it closes is served, not reset",
            arguments: DriverKind.allCases
        )
        func queueIsDrained(kind: DriverKind) throws {
            try withBench(kind) {
                $0.configuration.acceptBudget = 3
            } _: { bench in
                let address = try bench.listen { proto, callback in
                    if callback == .data { proto.transport.write(proto.received) }
                }
                let clients = try (0..<10).map { _ in try bench.connect(to: address) }
                for client in clients { client.send("x") }
                // No turn has accepted any of them yet.
                bench.reactor.stopListening()
                bench.turn("all are served") { clients.allSatisfy { $0.text == "x" } }
                #expect(clients.allSatisfy { $0.error == nil } && bench.counter(.accepted) == 10)
            }
        }
    }
}
