// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem

/// One datagram of a simulated network, on its way or in a socket's queue.
struct SimulatedDatagram: Sendable {
    let from: SocketAddress
    let to: SocketAddress
    let bytes: [UInt8]
    var ecn = CongestionMark.notCapable
    /// The socket that has sent it: told of a refusal when it is connected.
    let sender: SocketID
}

/// One UDP socket of a simulated network, of a driver or in the hands of a test.
struct SimulatedDatagramSocket: Sendable {
    let id: SocketID
    let address: SocketAddress
    let options: DatagramOptions
    var peer: SocketAddress?
    /// What came and was not received, oldest first.
    var queue: [SimulatedDatagram] = []
    var queuedBytes = 0
    /// Bytes that the queue has room for.
    var capacity: Int
    var dropCount: UInt32 = 0
    /// The peer's refusal, which the next call tells.
    var error: Errno?
    var groups: Set<SocketAddress> = []
    var registration: Registration?

    var isIPv6: Bool { if case .ipv6 = address { true } else { false } }

    /// Whether what is sent to `destination` from `source` is for it.
    func takes(_ destination: SocketAddress, from source: SocketAddress) -> Bool {
        guard address.port == destination.port, peer == nil || peer == source else { return false }
        if address == destination || groups.contains(destination.with(port: 0)) { return true }
        switch (address, destination) {
        case _ where destination.isMulticast: return false
        case (.ipv4, .ipv4), (.ipv6, .ipv6): return address.isWildcard
        case (.ipv6, .ipv4): return address.isWildcard && options.dualStack
        case (.ipv4, .ipv6), (.unix, _), (_, .unix): return false
        }
    }
}

extension SocketAddress {
    /// 224.0.0.0/4 and ff00::/8.
    var isMulticast: Bool {
        switch self {
        case .ipv4(let host, _): host >> 28 == 0xe
        case .ipv6(let high, _, _, _): high >> 56 == 0xff
        case .unix: false
        }
    }
}

extension NetworkState {
    // MARK: Sockets

    /// A socket in a driver's hands.
    mutating func bindDatagrams(
        _ address: SocketAddress,
        peer: SocketAddress?,
        _ options: DatagramOptions
    ) throws(Errno) -> SocketHandle {
        let isFree = { (address: SocketAddress, socket: SimulatedDatagramSocket) in
            socket.address.port != address.port || !NetworkState.overlap(socket.address, address)
                || (socket.options.sharedPort && options.sharedPort)
                || (socket.options.sharesAddress && options.sharesAddress)
        }
        let address = address.port == 0 ? address.with(port: takePort()) : address
        guard !address.isUnix else { throw .notSupported }
        guard datagramSockets.allSatisfy({ isFree(address, $0) }) else { throw .addressInUse }
        let id = SocketID(slot: -1, serial: takeSerial())
        let handle = try addDescriptor(.datagrams(id))
        add(id, address, peer: peer, options)
        return handle
    }

    /// A socket in a test's hands.
    mutating func addDatagramPeer(_ address: SocketAddress?, _ options: DatagramOptions) -> SocketID {
        let id = SocketID(slot: -1, serial: takeSerial())
        let address = address ?? .loopback(port: 0)
        add(id, address.port == 0 ? address.with(port: takePort()) : address, peer: nil, options)
        return id
    }

    private mutating func add(
        _ id: SocketID,
        _ address: SocketAddress,
        peer: SocketAddress?,
        _ options: DatagramOptions
    ) {
        datagramSockets.append(
            SimulatedDatagramSocket(
                id: id,
                address: address,
                options: options,
                peer: peer,
                capacity: configuration.receiveBufferBytes
            )
        )
    }

    func datagramIndex(_ handle: SocketHandle) -> Int {
        guard case .datagrams(let id) = target(of: handle), let index = datagramIndex(id) else {
            preconditionFailure("descriptor \(handle.rawValue) is no UDP socket")
        }
        return index
    }

    func datagramIndex(_ id: SocketID) -> Int? { datagramSockets.firstIndex { $0.id == id } }

    mutating func closeDatagrams(_ id: SocketID) {
        datagramSockets.removeAll { $0.id == id }
        if !options.isEmpty { options[id] = nil }
    }

    // MARK: Sending

    /// Sends one on its way; each may overtake others.
    mutating func send(_ datagram: SimulatedDatagram) {
        if random.chance(faults.datagramLosses) { return }
        let copies = random.chance(faults.datagramDuplicates) ? 2 : 1
        for _ in 0..<copies {
            let shortest = Int(faults.delays.lowerBound.clampedNanoseconds)
            let longest = Int(faults.delays.upperBound.clampedNanoseconds)
            guard longest > 0 else {
                deliver(datagram)
                continue
            }
            deliveries.add(.datagram(datagram), due: now + UInt64(shortest + random.below(longest - shortest + 1)))
        }
    }

    /// What arrives: one socket gets it, or all that have joined its group, or its sender is refused.
    mutating func deliver(_ datagram: SimulatedDatagram) {
        let all = datagramSockets.indices.filter { datagramSockets[$0].takes(datagram.to, from: datagram.from) }
        if datagram.to.isMulticast { return all.forEach { enqueue(datagram, $0) } }
        guard !all.isEmpty else { return refuse(datagram) }
        // A connected socket before those that serve all, and one address before every.
        let best = all.max { rank($0) < rank($1) }!
        let group = all.filter { rank($0) == rank(best) }
        enqueue(datagram, group[choice(group.count, datagram)])
    }

    private func rank(_ index: Int) -> Int {
        (datagramSockets[index].peer != nil ? 2 : 0) + (datagramSockets[index].address.isWildcard ? 0 : 1)
    }

    /// The same socket of a group for the same two addresses, as the kernel's hash has it.
    private func choice(_ count: Int, _ datagram: SimulatedDatagram) -> Int {
        if case .sourcePort(let modulus)? = programs[datagram.to], modulus <= count {
            return Int(datagram.from.port) % modulus
        }
        var random = SeededRandom(seed: UInt64(datagram.from.port) << 16 | UInt64(datagram.to.port))
        return random.below(count)
    }

    private mutating func enqueue(_ datagram: SimulatedDatagram, _ index: Int) {
        guard datagramSockets[index].queuedBytes + datagram.bytes.count <= datagramSockets[index].capacity else {
            datagramSockets[index].dropCount &+= 1
            return
        }
        datagramSockets[index].queue.append(datagram)
        // Not even an empty one is free.
        datagramSockets[index].queuedBytes += datagram.bytes.count + 1
        noteDatagrams(index)
    }

    private mutating func refuse(_ datagram: SimulatedDatagram) {
        guard let index = datagramIndex(datagram.sender), datagramSockets[index].peer != nil else { return }
        datagramSockets[index].error = .connectionRefused
        noteDatagrams(index)
    }

    mutating func noteDatagrams(_ index: Int) {
        guard let registration = datagramSockets[index].registration, !registration.isQueued else { return }
        datagramSockets[index].registration!.isQueued = true
        readyLists[registration.driver].append(.datagrams(datagramSockets[index].id))
    }

    // MARK: Receiving

    /// The oldest, with those behind it that the kernel would hand over as one (UDP_GRO).
    mutating func takeDatagrams(_ index: Int) -> (first: SimulatedDatagram, bytes: [UInt8], segment: Int)? {
        guard let first = datagramSockets[index].queue.first else { return nil }
        var bytes = first.bytes
        var count = 1
        if datagramSockets[index].options.receivesGroups, !first.bytes.isEmpty {
            for next in datagramSockets[index].queue.dropFirst() {
                guard next.from == first.from, next.to == first.to, next.ecn == first.ecn, !next.bytes.isEmpty,
                    next.bytes.count <= first.bytes.count, count < OutgoingDatagrams.mostSegments,
                    bytes.count + next.bytes.count <= OutgoingDatagrams.mostBytes
                else { break }
                bytes += next.bytes
                count += 1
                if next.bytes.count < first.bytes.count { break }
            }
        }
        datagramSockets[index].queue.removeFirst(count)
        datagramSockets[index].queuedBytes -= bytes.count + count
        return (first, bytes, count > 1 ? first.bytes.count : 0)
    }
}
