// SPDX-License-Identifier: Apache-2.0

package import SpindleCore
package import SpindleReactor
package import SpindleSystem

extension SimulatedDriver: DatagramDriver {
    package func openDatagrams(
        on local: SocketAddress,
        connectedTo peer: SocketAddress?,
        _ options: DatagramOptions
    ) throws(DatagramError) -> SocketHandle {
        // As connect(2) chooses: what is sent to this machine leaves from its loopback address.
        let address = peer != nil && local.isWildcard ? SimulatedDriver.loopback(like: local) : local
        do throws(Errno) {
            return try network.state.withLock { state throws(Errno) in
                try state.bindDatagrams(address, peer: peer, options)
            }
        } catch { throw .bind(ListenError(address: local, errno: error)) }
    }

    private static func loopback(like address: SocketAddress) -> SocketAddress {
        if case .ipv6 = address { .loopback6(port: address.port) } else { .loopback(port: address.port) }
    }

    package func watch(datagrams socket: SocketHandle, token: EventToken) throws(Errno) {
        let driver = index
        try network.state.withLock { state throws(Errno) in
            if !state.watchErrors.isEmpty { throw state.watchErrors.removeFirst() }
            let index = state.datagramIndex(socket)
            state.datagramSockets[index].registration = Registration(driver: driver, token: token)
            if !state.datagramSockets[index].queue.isEmpty { state.noteDatagrams(index) }
        }
    }

    package func peer(of socket: SocketHandle) -> SocketAddress? {
        network.state.withLock { $0.datagramSockets[$0.datagramIndex(socket)].peer }
    }

    package func receive(
        from socket: SocketHandle,
        into batch: inout IncomingDatagrams,
        atMost limit: Int
    ) throws(Errno) -> Int? {
        let most = min(limit, batch.capacity)
        let taken = try network.state.withLock { state throws(Errno) in
            let index = state.datagramIndex(socket)
            if let errno = state.datagramSockets[index].error.take() { throw errno }
            var taken: [(first: SimulatedDatagram, bytes: [UInt8], segment: Int)] = []
            while taken.count < most, let next = state.takeDatagrams(index) { taken.append(next) }
            batch.dropCount = state.datagramSockets[index].dropCount
            return (taken, state.datagramSockets[index].address, state.datagramSockets[index].options)
        }
        let (datagrams, address, options) = taken
        let isIPv6 = if case .ipv6 = address { true } else { false }
        for (place, datagram) in datagrams.enumerated() {
            var path = DatagramPath()
            if options.tellsDestination ?? address.isWildcard {
                path = DatagramPath(from: datagram.first.to) ?? path
                path.isToMany = datagram.first.to.isMulticast
                path.interface = 1
            }
            if options.tellsECN { path.ecn = datagram.first.ecn }
            let source = DatagramPeer(datagram.first.from, ofIPv6Socket: isIPv6) ?? .none
            let origin = DatagramOrigin(source: source, path: path, isTruncated: false)
            batch.put(datagram.bytes, from: origin, segmentBytes: datagram.segment, at: place)
        }
        return datagrams.isEmpty ? nil : datagrams.count
    }

    package func send(
        _ batch: borrowing OutgoingDatagrams,
        from first: Int,
        over socket: SocketHandle
    ) throws(Errno) -> Int? {
        var count = 0
        for index in first..<batch.count {
            let segment = batch.segmentBytes(ofMessage: index)
            let message = batch.withMessage(index) { bytes, peer, path in
                (bytes.indices.map { bytes[$0] }, peer.address, path)
            }
            do throws(Errno) {
                let isSent = try network.state.withLock { state throws(Errno) in
                    try state.send(message, each: segment, from: state.datagramIndex(socket))
                }
                if !isSent { return count > 0 ? count : nil }
            } catch {
                if count > 0 { return count }
                throw error
            }
            count += 1
        }
        return count
    }

    package func dropCount(of socket: SocketHandle) -> UInt32? {
        network.state.withLock { $0.datagramSockets[$0.datagramIndex(socket)].dropCount }
    }

    package func isIPv6(_ socket: SocketHandle) -> Bool {
        network.state.withLock { $0.datagramSockets[$0.datagramIndex(socket)].isIPv6 }
    }

    package func setMember(
        _ isMember: Bool,
        of group: SocketAddress,
        interface: UInt32,
        on socket: SocketHandle
    ) throws(Errno) {
        guard group.isMulticast else { throw .invalidArgument }
        try network.state.withLock { state throws(Errno) in
            let index = state.datagramIndex(socket)
            guard isMember else {
                guard state.datagramSockets[index].groups.remove(group.with(port: 0)) != nil else {
                    throw .addressNotAvailable
                }
                return
            }
            guard state.datagramSockets[index].groups.insert(group.with(port: 0)).inserted else {
                throw .addressInUse
            }
        }
    }

    /// Without effect: there are no routers, and every member is on this machine.
    package func setMulticast(_ option: MulticastOption, on socket: SocketHandle) throws(Errno) {
        if case .hops(let count) = option, !(0...255).contains(count) { throw .invalidArgument }
    }
}

extension NetworkState {
    /// - Returns: False when the send buffer is said to be full.
    fileprivate mutating func send(
        _ message: (bytes: [UInt8], peer: SocketAddress?, path: DatagramPath),
        each segment: Int,
        from index: Int
    ) throws(Errno) -> Bool {
        let socket = datagramSockets[index]
        if let errno = datagramSockets[index].error.take() { throw errno }
        if !sendErrors.isEmpty { throw sendErrors.removeFirst() }
        if random.chance(faults.fullWrites) { return false }
        guard let to = message.peer ?? socket.peer else { throw .invalidArgument }
        let local = message.path.localAddress?.with(port: socket.address.port)
        let wildcard: SocketAddress =
            if case .ipv6 = to { .loopback6(port: socket.address.port) } else { .loopback(port: socket.address.port) }
        let from = local ?? (socket.address.isWildcard ? wildcard : socket.address)
        let size = segment > 0 ? segment : max(message.bytes.count, 1)
        var start = 0
        repeat {
            let end = min(start + size, message.bytes.count)
            send(
                SimulatedDatagram(
                    from: from,
                    to: to,
                    bytes: Array(message.bytes[start..<end]),
                    ecn: message.path.ecn,
                    sender: socket.id
                )
            )
            start = end
        } while start < message.bytes.count
        return true
    }
}

extension SimulatedDrivers: DatagramDriverProvider {
    package func bindDatagrams(
        to address: SocketAddress,
        _ options: DatagramOptions
    ) throws(DatagramError) -> BoundSocket {
        do throws(Errno) {
            return try network.state.withLock { state throws(Errno) in
                let socket = try state.bindDatagrams(address, peer: nil, options)
                return BoundSocket(socket: socket, address: state.localAddress(of: socket) ?? address)
            }
        } catch { throw .bind(ListenError(address: address, errno: error)) }
    }

    package func adopt(datagrams descriptor: Int32, _ options: DatagramOptions) throws(AdoptError) -> BoundSocket {
        throw AdoptError(descriptor: descriptor, reason: "these drivers have no kernel")
    }
}
