// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import SpindleSystem
import SpindleTesting
import Testing

@Suite("limits on connections")
struct ConnectionLimitTests {
    private final class Quiet: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
    }

    private func peer(_ number: UInt32) -> SocketAddress { .ipv4(0x0A00_0000 + number, port: 0) }

    @Test("places are taken up to the limit, in all and of one peer, and given back when nobody holds them")
    func places() throws {
        let limit = ConnectionLimit(.init(total: 5, perPeer: 2))
        var places: [ConnectionLimit.Place] = []
        places += [try limit.admit(peer(1)).get(), try limit.admit(peer(1)).get()]
        #expect(throws: ConnectionLimit.Refusal.perPeer(2)) { try limit.admit(peer(1)).get() }
        places += [try limit.admit(peer(2)).get(), try limit.admit(peer(2)).get(), try limit.admit(peer(3)).get()]
        #expect(throws: ConnectionLimit.Refusal.total(5)) { try limit.admit(peer(4)).get() }
        #expect(limit.connectionCount == 5 && limit.connectionCount(of: peer(1)) == 2)
        #expect(limit.connectionCount(of: peer(4)) == 0, "who was refused is not counted")
        places.removeFirst()
        #expect(limit.connectionCount == 4 && limit.connectionCount(of: peer(1)) == 1)
        places.append(try limit.admit(peer(1)).get())
        places = []
        #expect(limit.connectionCount == 0 && limit.connectionCount(of: peer(1)) == 0)
    }

    @Test("an IPv6 peer is its network of 64 bits, and peers of Unix sockets are not told apart")
    func families() throws {
        let limit = ConnectionLimit(.init(perPeer: 1))
        let first = limit.admit(.ipv6(high: 1, low: 1, port: 0, scope: 0))
        #expect(throws: ConnectionLimit.Refusal.perPeer(1)) {
            try limit.admit(.ipv6(high: 1, low: 2, port: 0, scope: 0)).get()
        }
        let others = [
            limit.admit(.ipv6(high: 2, low: 1, port: 0, scope: 0)), limit.admit(.unix("")), limit.admit(.unix("")),
        ]
        #expect(others.allSatisfy { (try? $0.get()) != nil })
        withExtendedLifetime(first) {}
    }

    @Test("many threads at once never have more places than there are, and all of those")
    func threads() async {
        let limit = ConnectionLimit(.init(total: 30, perPeer: 10))
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for round in 0..<2000 {
                        let peer = SocketAddress.ipv4(UInt32(worker + round) % 4, port: 0)
                        guard case .success(let place) = limit.admit(peer) else { continue }
                        let present = limit.connectionCount
                        precondition(limit.connectionCount(of: peer) <= 10 && present <= 30)
                        withExtendedLifetime(place) {}
                    }
                }
            }
        }
        #expect(limit.connectionCount == 0)
        let all = (0..<40).map { limit.admit(.ipv4(UInt32($0) % 4, port: 0)) }
        #expect(all.filter { (try? $0.get()) != nil }.count == 30)
    }

    @Test(
        "with 4 reactors exactly as many are served as may be, the others hear that the server is full",
        arguments: 0..<10 as Range<UInt64>
    )
    func fourReactors(seed: UInt64) throws {
        let network = SimulatedNetwork(seed: seed)
        let scheduler = SimulatedScheduler(reactorCount: 4, network: network, seed: seed)
        let limit = ConnectionLimit(.init(total: 20, perPeer: 6))
        let build = limit.guarding(overflow: { Farewell($0, "full: \($1)\n") }) { Quiet($0) }
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory(build) }
        // Five peers with ten connections each.
        let clients = (0..<50).map { network.connect(to: address, from: .ipv4(0x0A00_0000 + UInt32($0 % 5), port: 0)) }
        for client in clients { client.send("hello") }
        scheduler.run(noLaterThan: network.now)
        let answers = clients.map { String(decoding: $0.receive(), as: UTF8.self) }
        #expect(answers.filter { $0 == "hello" }.count == 20)
        #expect(answers.filter { $0.hasPrefix("full: ") }.count == 30)
        for peer in 0..<5 {
            let served = stride(from: peer, to: 50, by: 5).filter { answers[$0] == "hello" }.count
            #expect(served <= 6)
        }
        #expect(limit.connectionCount == 20)
        for client in clients { client.close() }
        scheduler.run(noLaterThan: network.now.advanced(by: .seconds(2)))
        #expect(limit.connectionCount == 0)
        scheduler.stopListening()
        scheduler.run()
    }

    @Test("a connection that another reactor goes on with still counts, once")
    func handOff() throws {
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 2, network: network)
        let limit = ConnectionLimit(.init(total: 1))
        var transport: (any StreamTransport)?
        let build = limit.guarding { Quiet($0) }
        let address = try scheduler.listen(at: .loopback(port: 0), on: [0]) { _ in
            ClosureFactory {
                transport = $0
                return try build($0)
            }
        }
        let client = network.connect(to: address)
        scheduler.run(noLaterThan: network.now)
        let target = scheduler.reactors[1].handle
        #expect(scheduler.perform(on: 0) { _ in transport?.handOff(to: target) { Quiet($0) } } == true)
        scheduler.run(noLaterThan: network.now)
        client.send("still here")
        scheduler.run(noLaterThan: network.now)
        #expect(client.receive() == Array("still here".utf8))
        #expect(limit.connectionCount == 1)
        client.close()
        scheduler.run(noLaterThan: network.now.advanced(by: .seconds(2)))
        #expect(limit.connectionCount == 0, "though somebody still knows its first transport")
        scheduler.stopListening()
        scheduler.run()
    }

    @Test("a handshake that takes too long ends with that, whatever was read and sent; one that is over does not")
    func handshake() throws {
        final class Shaking: StreamProtocol {
            let transport: any StreamTransport
            var reason: DisconnectReason?
            init(_ transport: any StreamTransport) { self.transport = transport }
            func connectionMade() { transport.setHandshakeTimeout(.seconds(5)) }
            func dataReceived(_ bytes: Span<UInt8>) {
                transport.write(bytes)
                if bytes[0] == UInt8(ascii: "!") { transport.setHandshakeTimeout(nil) }
            }
            func connectionLost(_ reason: DisconnectReason) { self.reason = reason }
        }
        let slow = ScriptedConnection { Shaking($0) }
        for _ in 0..<4 {
            slow.advance(by: .seconds(1))
            slow.feed("x")
        }
        #expect(!slow.isClosed)
        slow.advance(by: .milliseconds(1010))
        #expect(slow.isClosed && slow.error == .connectionReset)
        #expect((slow.proto as? Shaking)?.reason.map { "\($0)" } == "timed out (handshake)")
        let fine = ScriptedConnection { Shaking($0) }
        fine.feed("!")
        fine.advance(by: .seconds(60))
        #expect(!fine.isClosed)
    }

    @Test("the time limit of a handshake goes along to another reactor")
    func handshakeAndHandOff() throws {
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 2, network: network)
        var transport: (any StreamTransport)?
        let address = try scheduler.listen(at: .loopback(port: 0), on: [0]) { _ in
            ClosureFactory {
                transport = $0
                return Quiet($0)
            }
        }
        let client = network.connect(to: address)
        scheduler.run(noLaterThan: network.now)
        let target = scheduler.reactors[1].handle
        scheduler.perform(on: 0) { _ in
            transport?.setHandshakeTimeout(.seconds(5))
            transport?.handOff(to: target) { Quiet($0) }
        }
        scheduler.run(noLaterThan: network.now.advanced(by: .seconds(4)))
        #expect(client.error == nil && scheduler.reactors[1].connectionCount == 1)
        scheduler.run(noLaterThan: network.now.advanced(by: .seconds(2)))
        #expect(client.error == .connectionReset && scheduler.reactors[1].connectionCount == 0)
        scheduler.stopListening()
        scheduler.run()
    }
}
