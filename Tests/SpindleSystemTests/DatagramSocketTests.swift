// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import Testing

@testable import SpindleSystem

/// Adds a datagram; whether there was room.
@discardableResult
private func add(
    _ bytes: [UInt8],
    to peer: DatagramPeer?,
    path: DatagramPath = DatagramPath(),
    into batch: inout OutgoingDatagrams
) -> Bool {
    let nothing = IncomingDatagrams(capacity: 1, room: 1)
    return batch.append(bytes.span, to: .peer(peer ?? .none, path), of: nothing)
}

private func path(from address: SocketAddress?, _ ecn: CongestionMark = .notCapable) -> DatagramPath {
    var path = address.flatMap { DatagramPath(from: $0) } ?? DatagramPath()
    path.ecn = ecn
    return path
}

private func sizes(of batch: borrowing OutgoingDatagrams) -> [Int] {
    var sizes: [Int] = []
    for index in 0..<batch.count { sizes.append(batch.datagramCount(ofMessage: index)) }
    return sizes
}

private func send(_ batch: borrowing OutgoingDatagrams, over socket: DatagramSocket, from first: Int = 0) throws -> Int
{
    try socket.send(batch, from: first) ?? 0
}

@Suite struct DatagramSocketTests {
    /// A socket bound to a loopback port, with what the kernel is to tell; closed at the end.
    private final class Bound {
        let socket: DatagramSocket
        let address: SocketAddress

        init(_ address: SocketAddress = .loopback(port: 0), _ features: [DatagramSocket.Feature] = []) throws {
            socket = try .open(for: address)
            for feature in features { try socket.enable(feature) }
            try socket.bind(to: address)
            self.address = try socket.localAddress()
        }

        deinit { socket.close() }

        /// What waits: loopback delivers within the send.
        func receiveAll(room: Int = 65_535) throws -> [(bytes: [UInt8], origin: DatagramOrigin, segment: Int)] {
            var batch = IncomingDatagrams(capacity: 8, room: room)
            var all: [(bytes: [UInt8], origin: DatagramOrigin, segment: Int)] = []
            while let count = try socket.receive(into: &batch) {
                for index in 0..<count {
                    let bytes = batch.withBytes(of: index) { bytes in bytes.indices.map { bytes[$0] } }
                    all.append((bytes, batch.origin(of: index), batch.segmentBytes(of: index)))
                }
            }
            return all
        }

        func send(
            _ datagrams: [[UInt8]],
            to address: SocketAddress?,
            path: DatagramPath = DatagramPath(),
            usesSegments: Bool = false
        ) throws {
            var batch = OutgoingDatagrams(capacity: 64, byteCapacity: 1 << 20, usesSegments: usesSegments)
            for bytes in datagrams {
                let hasRoom = add(bytes, to: address.flatMap(socket.peer), path: path, into: &batch)
                #expect(hasRoom)
            }
            var first = 0
            while first < batch.count { first += try SpindleSystemTests.send(batch, over: socket, from: first) }
        }
    }

    private func pattern(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed) }
    }

    private static let families: [SocketAddress] = [.loopback(port: 0), .loopback6(port: 0)]

    @Test("datagrams arrive whole, in batches, with their sender, who can be answered as he is", arguments: families)
    func echo(address: SocketAddress) throws {
        let (server, client) = (try Bound(address), try Bound(address))
        let sent = [0, 1, 64, 1400, 20_000].map { pattern($0) } + (0..<20).map { pattern(10, $0) }
        try client.send(sent, to: server.address)
        let received = try server.receiveAll()
        #expect(received.map(\.bytes) == sent)
        #expect(received.allSatisfy { $0.origin.peer == client.address && !$0.origin.isTruncated })
        var answers = OutgoingDatagrams(capacity: 64, byteCapacity: 1 << 20, usesSegments: false)
        for (bytes, origin, _) in received { add(bytes, to: origin.source, into: &answers) }
        let taken = try send(answers, over: server.socket)
        #expect(taken == sent.count)
        #expect(try client.receiveAll().map(\.bytes) == sent)
    }

    @Test("one that is longer than there is room for is said to be cut")
    func truncated() throws {
        let (server, client) = (try Bound(), try Bound())
        try client.send([pattern(100), pattern(101), pattern(99)], to: server.address)
        let received = try server.receiveAll(room: 100)
        #expect(received.map(\.bytes) == [pattern(100), pattern(100), pattern(99)])
        #expect(received.map(\.origin.isTruncated) == [false, true, false])
    }

    @Test("those of one size to one peer leave as one message, and come as one where that is asked for")
    func groups() throws {
        let client = try Bound()
        let sent =
            (0..<50).map { pattern(64, $0) } + [pattern(10)] + (0..<3).map { pattern(64, $0) } + [[]] + [pattern(65)]
        for features in [[], [DatagramSocket.Feature.groups]] {
            let server = try Bound(.loopback(port: 0), features)
            var batch = OutgoingDatagrams(capacity: 64, byteCapacity: 1 << 20, usesSegments: true)
            for bytes in sent { add(bytes, to: client.socket.peer(server.address), into: &batch) }
            // 50 and a shorter one; three; an empty one; one that is longer than the last.
            let (messages, count) = (sizes(of: batch), batch.datagramCount)
            #expect(messages == [51, 3, 1, 1] && count == sent.count)
            let taken = try send(batch, over: client.socket)
            #expect(taken == 4)
            let received = try server.receiveAll()
            var datagrams: [[UInt8]] = []
            for (bytes, _, segment) in received {
                let size = max(segment > 0 ? segment : bytes.count, 1)
                datagrams +=
                    bytes.isEmpty
                    ? [[]]
                    : stride(from: 0, to: bytes.count, by: size).map {
                        Array(bytes[$0..<min($0 + size, bytes.count)])
                    }
            }
            #expect(datagrams == sent)
            #expect(features.isEmpty ? received.count == sent.count : received.count < 10)
        }
    }

    @Test("a message has at most 64 datagrams and 65,507 bytes, and a batch what it has room for")
    func bounds() throws {
        let socket = try Bound()
        let peer = socket.socket.peer(socket.address)
        var batch = OutgoingDatagrams(capacity: 3, byteCapacity: 150_000, usesSegments: true)
        for _ in 0..<65 { add(pattern(10), to: peer, into: &batch) }
        var messages = sizes(of: batch)
        #expect(messages == [64, 1])
        batch.removeAll()
        for _ in 0..<9 { add(pattern(9000), to: peer, into: &batch) }
        messages = sizes(of: batch)
        #expect(messages == [7, 2])
        let (fits, tooMuch) = (
            add(pattern(65_507), to: peer, into: &batch), add(pattern(10_000), to: peer, into: &batch)
        )
        #expect(fits && !tooMuch, "a message of its own; more bytes than there is room for")
        let fourth = add(pattern(10), to: socket.socket.peer(.loopback(port: 9)), into: &batch)
        messages = sizes(of: batch)
        #expect(!fourth && messages == [7, 2, 1])
    }

    @Test("which address it came to is told, and an answer can leave from there", arguments: [true, false])
    func localAddress(dualStack: Bool) throws {
        let server = try Bound(dualStack ? .any(port: 0) : .anyIPv4(port: 0), [.localAddress, .ecn])
        let (asked, client) = (SocketAddress.ipv4(0x7F00_0037, port: server.address.port), try Bound())
        try client.send([pattern(5)], to: asked, path: path(from: nil, .capable0))
        let (bytes, origin, _) = try #require(try server.receiveAll().first)
        #expect(origin.destination == asked.with(port: 0) && origin.interface == 1)
        #expect(origin.ecn == .capable0 && origin.peer == client.address)
        var answer = OutgoingDatagrams(capacity: 1, byteCapacity: 70_000, usesSegments: false)
        add(bytes, to: origin.source, path: path(from: origin.destination, .capable1), into: &answer)
        let taken = try send(answer, over: server.socket)
        #expect(taken == 1)
        #expect(try client.receiveAll().map(\.origin.peer) == [asked])
    }

    @Test("over IPv6, too")
    func localAddress6() throws {
        let server = try Bound(.any(port: 0), [.localAddress, .ecn])
        let client = try Bound(.loopback6(port: 0))
        try client.send([pattern(5)], to: .loopback6(port: server.address.port), path: path(from: nil, .congested))
        let (_, origin, _) = try #require(try server.receiveAll().first)
        #expect(origin.destination == .loopback6(port: 0) && origin.ecn == .congested)
        try server.send([pattern(6)], to: origin.peer, path: path(from: origin.destination, .congested))
        #expect(try client.receiveAll().map(\.origin.peer) == [.loopback6(port: server.address.port)])
    }

    @Test("what found no room in the socket is counted by the kernel, and told with the next that did")
    func drops() throws {
        let (server, client) = (try Bound(.loopback(port: 0), [.drops]), try Bound())
        try server.socket.common.set(.receiveBuffer, 4096)
        for round in 0..<50 { try client.send([pattern(1000, round)], to: server.address) }
        var batch = IncomingDatagrams(capacity: 64, room: 2000)
        let before = try server.socket.receive(into: &batch) ?? 0
        #expect((1..<50).contains(before))
        try client.send([pattern(1)], to: server.address)
        let after = try server.socket.receive(into: &batch)
        let dropCount = Int(batch.dropCount)
        #expect(after == 1 && dropCount == 50 - before)
        #expect(server.socket.dropCount == UInt32(50 - before), "and whenever it is asked")
    }

    @Test("a connected socket hears its peer alone, and his refusal; others are refused what they can't have")
    func connected() throws {
        let (server, client, other) = (try Bound(), try Bound(), try Bound())
        try client.socket.connect(to: server.address)
        try other.send([pattern(3)], to: client.address)
        try client.send([pattern(4)], to: nil)
        let (bytes, origin, _) = try #require(try server.receiveAll().first)
        #expect(bytes == pattern(4) && origin.peer == client.address)
        #expect(try client.receiveAll().isEmpty)
        let gone = try Bound()
        let dead = gone.address
        _ = consume gone
        try client.socket.connect(to: dead)
        try client.send([pattern(1)], to: nil)
        #expect(throws: Errno.connectionRefused) { try client.receiveAll() }
        #expect(throws: Errno.accessDenied) { try other.send([pattern(1)], to: .ipv4(0x7FFF_FFFF, port: 9)) }
        try other.socket.enable(.broadcast)
        try other.send([pattern(1)], to: .ipv4(0x7FFF_FFFF, port: server.address.port))
        #expect(throws: Errno.notSupported) { try DatagramSocket.open(for: .unix("x")) }
    }

    @Test("a group's members get what is sent to it, until they leave", arguments: [4, 6])
    func multicast(family: Int) throws {
        let group: SocketAddress =
            family == 4
            ? .ipv4(0xE0FF_0101, port: 0) : .ipv6(high: 0xff11_0000_0000_0000, low: 0x1234, port: 0, scope: 0)
        let member = try Bound(family == 4 ? .anyIPv4(port: 0) : .any(port: 0))
        let sender = try Bound(DatagramSocketTests.families[family == 4 ? 0 : 1])
        try member.socket.setMember(true, of: group, interface: 1)
        #expect(throws: Errno.addressInUse) { try member.socket.setMember(true, of: group, interface: 1) }
        try sender.socket.set(.interface, 1)
        try sender.socket.set(.hops, 1)
        try sender.socket.set(.loop, 1)
        // The loopback interface has no route to IPv6's groups.
        if family == 4 { try sender.send([pattern(7)], to: group.with(port: member.address.port)) }
        #expect(try member.receiveAll().map(\.bytes) == (family == 4 ? [pattern(7)] : []))
        try member.socket.setMember(false, of: group, interface: 1)
        #expect(throws: Errno.addressNotAvailable) { try member.socket.setMember(false, of: group, interface: 1) }
        if family == 4 { try sender.send([pattern(8)], to: group.with(port: member.address.port)) }
        #expect(try member.receiveAll().isEmpty)
        #expect(throws: Errno.invalidArgument) {
            try member.socket.setMember(true, of: .loopback(port: 0), interface: 1)
        }
    }
}
