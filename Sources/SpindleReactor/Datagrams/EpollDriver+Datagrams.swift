// SPDX-License-Identifier: Apache-2.0

package import SpindleCore
package import SpindleSystem

extension EpollDriver: DatagramDriver {
    package func openDatagrams(
        on local: SocketAddress,
        connectedTo peer: SocketAddress?,
        _ options: DatagramOptions
    ) throws(DatagramError) -> SocketHandle {
        let socket = try DatagramSocket.open(on: local, options)
        guard let peer else { return SocketHandle(rawValue: socket.descriptor) }
        do throws(Errno) { try socket.connect(to: peer) } catch {
            socket.close()
            throw .connect(peer, error)
        }
        return SocketHandle(rawValue: socket.descriptor)
    }

    package func receive(
        from socket: SocketHandle,
        into batch: inout IncomingDatagrams,
        atMost limit: Int
    ) throws(Errno) -> Int? {
        // The family does not matter to a receive, nor to a send: addresses are in the socket's own form.
        try DatagramSocket(descriptor: socket.rawValue, isIPv6: false).receive(into: &batch, atMost: limit)
    }

    package func send(
        _ batch: borrowing OutgoingDatagrams,
        from first: Int,
        over socket: SocketHandle
    ) throws(Errno) -> Int? {
        try DatagramSocket(descriptor: socket.rawValue, isIPv6: false).send(batch, from: first)
    }

    package func peer(of socket: SocketHandle) -> SocketAddress? { try? socket.datagrams.common.peerAddress() }

    package func dropCount(of socket: SocketHandle) -> UInt32? { socket.datagrams.dropCount }

    package func isIPv6(_ socket: SocketHandle) -> Bool { socket.datagrams.isIPv6 }

    package func setMember(
        _ isMember: Bool,
        of group: SocketAddress,
        interface: UInt32,
        on socket: SocketHandle
    ) throws(Errno) {
        try socket.datagrams.setMember(isMember, of: group, interface: interface)
    }

    package func setMulticast(_ option: MulticastOption, on socket: SocketHandle) throws(Errno) {
        let (name, value): (DatagramSocket.GroupOption, Int32?) =
            switch option {
            case .hops(let count): (.hops, (0...255).contains(count) ? Int32(count) : nil)
            case .loop(let isOn): (.loop, isOn ? 1 : 0)
            case .interface(let number): (.interface, Int32(exactly: number))
            }
        guard let value else { throw .invalidArgument }
        try socket.datagrams.set(name, value)
    }
}

extension EpollDrivers: DatagramDriverProvider {
    /// As with streams, a socket that shares its port with nobody is tried first.
    package func bindDatagrams(
        to address: SocketAddress,
        _ options: DatagramOptions
    ) throws(DatagramError) -> BoundSocket {
        if options.exclusive, options.sharedPort, !options.sharesAddress, address.port != 0 {
            var alone = options
            alone.sharedPort = false
            try DatagramSocket.open(on: address, alone).close()
        }
        let socket = try DatagramSocket.open(on: address, options)
        do throws(Errno) {
            return BoundSocket(
                socket: SocketHandle(rawValue: socket.descriptor),
                address: try socket.localAddress()
            )
        } catch {
            socket.close()
            throw .bind(ListenError(address: address, errno: error))
        }
    }

    package func adopt(datagrams descriptor: Int32, _ options: DatagramOptions) throws(AdoptError) -> BoundSocket {
        do throws(AdoptedSocket.Failure) {
            let (socket, address) = try AdoptedSocket.take(datagrams: descriptor)
            try? socket.enable(.groups, false)
            socket.prepare(address, options)
            return BoundSocket(socket: SocketHandle(rawValue: socket.descriptor), address: address)
        } catch { throw AdoptError(descriptor, error) }
    }
}

extension DatagramSocket {
    /// socket(2), the options, bind(2).
    fileprivate static func open(
        on address: SocketAddress,
        _ options: DatagramOptions
    ) throws(DatagramError) -> DatagramSocket {
        let socket: DatagramSocket
        do throws(Errno) { socket = try open(for: address) } catch {
            throw .bind(ListenError(address: address, errno: error))
        }
        do throws(SocketOptionError) { try socket.common.apply(options.settings) } catch {
            socket.close()
            throw .bind(ListenError(address: address, errno: error.errno, option: error.name))
        }
        do throws(Errno) {
            if options.sharesAddress { try socket.common.set(.reuseAddress, 1) }
            if options.sharedPort { try socket.common.set(.reusePort, 1) }
            if case .ipv6 = address { try socket.common.set(.onlyIPv6, options.dualStack ? 0 : 1) }
            if let interface = options.interface { try socket.common.bindToInterface(interface) }
            if options.allowsBroadcast { try socket.enable(.broadcast) }
            socket.prepare(address, options)
            try socket.bind(to: address)
            return socket
        } catch {
            socket.close()
            throw .bind(ListenError(address: address, errno: error))
        }
    }

    /// What the kernel is to tell, as far as it can.
    fileprivate func prepare(_ address: SocketAddress, _ options: DatagramOptions) {
        try? enable(.drops)
        try? enable(.ownGroups)
        if options.receivesGroups { try? enable(.groups) }
        if options.tellsDestination ?? address.isWildcard { try? enable(.localAddress) }
        if options.tellsECN { try? enable(.ecn) }
    }
}

extension SocketHandle {
    fileprivate var datagrams: DatagramSocket { DatagramSocket(descriptor: rawValue) }
}
