// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

private struct Complaint: Error {}

extension Contract {
    @Suite(.serialized) struct Datagrams {
        private func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed) }
        }

        @Test("C56: startProtocol comes once and first, stopProtocol once and last", arguments: DriverKind.allCases)
        func startAndStop(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open()
                #expect(proto.callbacks == [.started] && proto.transport.isOpen)
                let client = try bench.client()
                client.send("one", to: proto.transport.localAddress)
                bench.turn("it has come") { proto.texts == ["one"] }
                proto.transport.close()
                proto.transport.close()
                #expect(!proto.transport.isOpen && proto.count(.stopped) == 0, "told later, not within the call")
                client.send("two", to: proto.transport.localAddress)
                bench.bench.turn()
                #expect(proto.callbacks.count == 3 && proto.callbacks.last == .stopped)
                #expect(proto.transport.send("late", to: client.address) == .dropped(.closed))
                #expect(bench.bench.counter(.datagramsRefused) == 1)
            }
        }

        @Test(
            "datagrams come whole, in order, with their sender; answers go back there",
            arguments: DriverKind.allCases
        )
        func echo(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                for address in [SocketAddress.loopback(port: 0), .loopback6(port: 0)] {
                    let proto = try bench.open(on: address) { $0.usesGroups = false }
                    let clients = [try bench.client(address), try bench.client(address)]
                    let sent = [0, 1, 100, 1400, 20_000].map { bytes($0) } + (0..<20).map { bytes(8, $0) }
                    for one in sent { for client in clients { client.send(one, to: proto.transport.localAddress) } }
                    bench.turn("all have come") { proto.received.count == 2 * sent.count }
                    for client in clients {
                        let answers = client.receiveAll()
                        #expect(answers.map(\.bytes) == sent)
                        #expect(answers.allSatisfy { $0.from == proto.transport.localAddress })
                    }
                }
                #expect(bench.bench.counter(.datagramsReceived) == 100 && bench.bench.counter(.datagramsSent) == 100)
                #expect(bench.bench.counter(.bytesReceived) == bench.bench.counter(.bytesSent))
            }
        }

        @Test("C12: a callback that throws loses its datagram and nothing else", arguments: DriverKind.allCases)
        func throwing(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open { _ in
                } _: { proto, callback, _ in
                    switch callback {
                    case .received(let bytes, _) where bytes.first == 1: throw Complaint()
                    case .received(let bytes, _): proto.transport.reply(bytes)
                    case .started, .stopped: throw Complaint()
                    case .refused: break
                    }
                }
                let client = try bench.client()
                for value in [0, 1, 2, 1, 3] as [UInt8] { client.send([value], to: proto.transport.localAddress) }
                bench.turn("all have come") { proto.received.count == 5 }
                #expect(client.receiveAll().map(\.bytes) == [[0], [2], [3]])
                #expect(bench.bench.counter(.failedCallbacks) == 3 && proto.transport.isOpen)
                #expect(bench.bench.log.count(containing: "threw Complaint()") == 1, "once a second")
            }
        }

        @Test("a connected socket hears its peer alone, and is told of his refusal", arguments: DriverKind.allCases)
        func connected(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let (peer, stranger) = (try bench.client(), try bench.client())
                let proto = try bench.open(on: nil, connectedTo: peer.address)
                #expect(proto.transport.peerAddress == peer.address)
                proto.transport.send("hello")
                bench.bench.turn()
                let came = peer.receiveAll()
                #expect(came.map(\.bytes) == [Array("hello".utf8)])
                let address = try #require(came.first?.from)
                stranger.send("psst", to: address)
                peer.send("yes?", to: address)
                bench.turn("the peer's has come") { proto.texts == ["yes?"] }
                bench.bench.turn()
                #expect(proto.texts == ["yes?"])
                peer.close()
                proto.transport.send("gone?")
                bench.turn("the refusal is told") { proto.count(.refused) == 1 }
                #expect(proto.transport.isOpen)
                let again = try bench.client(peer.address)
                proto.transport.send("back?")
                bench.bench.turn()
                #expect(again.texts == ["back?"])
            }
        }

        @Test(
            "a socket that is paused leaves what comes to the kernel, and has it later",
            arguments: DriverKind.allCases
        )
        func pausing(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open()
                let client = try bench.client()
                proto.transport.pauseReading()
                client.send("one", to: proto.transport.localAddress)
                client.send("other", to: proto.transport.localAddress)
                bench.bench.turn()
                #expect(proto.received.isEmpty)
                proto.transport.resumeReading()
                #expect(proto.received.isEmpty, "in a later turn")
                bench.turn("they have come") { proto.texts == ["one", "other"] }
            }
        }

        @Test(
            "a socket closed by its callback gets no more; what it said before leaves",
            arguments: DriverKind.allCases
        )
        func closingInside(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open {
                    $0.usesGroups = false
                } _: { proto, callback, _ in
                    guard case .received(let bytes, _) = callback else { return }
                    proto.transport.reply(bytes)
                    if bytes.count == 2 { proto.transport.close() }
                }
                let client = try bench.client()
                for count in [1, 2, 3, 4] { client.send(bytes(count), to: proto.transport.localAddress) }
                bench.turn("it is told") { proto.callbacks.last == .stopped }
                #expect(proto.received.map(\.count) == [1, 2])
                #expect(client.receiveAll().map(\.bytes.count) == [1, 2])
            }
        }

        @Test(
            "answers leave from the address that was asked; congestion is told to who asks",
            arguments: DriverKind.allCases
        )
        func asked(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                for any in [SocketAddress.anyIPv4(port: 0), .any(port: 0)] {
                    let proto = try bench.open(on: any) { $0.tellsECN = true }
                    let client = try bench.client()
                    let asked = SocketAddress.ipv4(0x7F00_0042, port: proto.transport.localAddress.port)
                    client.send(bytes(4), to: asked, ecn: .congested)
                    bench.turn("it has come") { proto.origins.count == 1 }
                    let origin = try #require(proto.origins.first)
                    #expect(origin.destination == asked.with(port: 0) && origin.ecn == .congested)
                    #expect(origin.peer == client.address && origin.interface == 1 && !origin.isTruncated)
                    #expect(client.receiveAll().map(\.from) == [asked])
                    proto.transport.send(
                        bytes(5).span,
                        to: client.address,
                        options: DatagramSendOptions(source: origin.destination)
                    )
                    bench.bench.turn()
                    #expect(client.receiveAll().map(\.from) == [asked])
                }
            }
        }

        @Test(
            "members of a group get what is sent to it, and answer from their own address",
            arguments: DriverKind.allCases
        )
        func multicast(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let group = SocketAddress.ipv4(0xE0FF_0102, port: 0)
                let member = try bench.open(on: .anyIPv4(port: 0))
                let stranger = try bench.open(on: .anyIPv4(port: 0))
                let sender = try bench.open { _ in
                } _: { _, _, _ in
                }
                try sender.transport.setMulticast(.interface(1))
                try sender.transport.setMulticast(.hops(1))
                try sender.transport.setMulticast(.loop(true))
                #expect(throws: Errno.invalidArgument) { try sender.transport.setMulticast(.hops(256)) }
                try member.transport.join(group, interface: 1)
                #expect(throws: Errno.addressInUse) { try member.transport.join(group, interface: 1) }
                #expect(throws: Errno.invalidArgument) { try member.transport.join(.loopback(port: 0), interface: 1) }
                sender.transport.send("all", to: group.with(port: member.transport.localAddress.port))
                sender.transport.send("none", to: group.with(port: stranger.transport.localAddress.port))
                bench.turn("the answer has come") { sender.texts == ["all"] }
                bench.bench.turn()
                #expect(member.texts == ["all"] && stranger.texts.isEmpty)
                #expect(member.origins.first?.destination == group)
                try member.transport.leave(group, interface: 1)
                #expect(throws: Errno.addressNotAvailable) { try member.transport.leave(group, interface: 1) }
                sender.transport.send("left", to: group.with(port: member.transport.localAddress.port))
                bench.bench.turn()
                #expect(member.texts == ["all"])
                member.transport.close()
                #expect(throws: Errno.badDescriptor) { try member.transport.join(group, interface: 1) }
            }
        }

        @Test("a socket that can't be had is an error, and nothing of it is left", arguments: DriverKind.allCases)
        func failures(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open()
                let taken = proto.transport.localAddress
                let error = #expect(throws: DatagramError.self) { try bench.open(on: taken) }
                guard case .bind(let bind)? = error else { throw Complaint() }
                #expect(bind.errno == .addressInUse && bind.address == taken)
                let failed = #expect(throws: DatagramError.self) {
                    try bench.bench.reactor.openUDP { _ in throw Complaint() }
                }
                guard case .failed(is Complaint)? = failed else { throw Complaint() }
                bench.bench.reactor.endAllConnections()
                let stopped = #expect(throws: DatagramError.self) { try bench.open() }
                guard case .engineStopped? = stopped else { throw Complaint() }
            }
        }

        @Test("options of the socket are set and told", arguments: DriverKind.allCases)
        func options(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open { $0.settings = [SocketSetting(.dscp, 46)!] }
                try proto.transport.set(.receiveBuffer, to: 20_000)
                #expect(try proto.transport.value(of: .receiveBuffer) >= 20_000)
                if kind.isEpoll { #expect(try proto.transport.value(of: .dscp) == 46) }
                proto.transport.close()
                #expect(throws: SocketOptionError(.receiveBuffer, .badDescriptor)) {
                    try proto.transport.value(of: .receiveBuffer)
                }
            }
        }

        @Test("a socket that can't be watched is an error, and is closed")
        func unwatched() throws {
            try withDatagrams(.simulated) { bench in
                bench.bench.network!.failNextWatches(with: [.noMemory])
                #expect(throws: DatagramError.self) { try bench.open() }
                #expect(bench.bench.network!.openDescriptorCount == 0)
            }
        }
    }
}
