// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// A socket that somebody else has opened: looked at, and given a number of our own.
package enum AdoptedSocket {
    /// What it has to be.
    package enum Role: Sendable { case listener, connection }

    /// Why it can't be had.
    package enum Failure: Error, Equatable {
        case notStream, notDatagram, notListening, listening, notConnected, unknownFamily, notBound
        case system(Errno)
    }

    /// Another number for the socket, non-blocking and close-on-exec. The caller keeps its own, which is non-blocking
    /// from now on: that belongs to the socket.
    package static func take(
        _ descriptor: CInt,
        as role: Role
    ) throws(Failure) -> (socket: StreamSocket, address: SocketAddress) {
        guard try answer(cl_socket_is_stream(descriptor)) else { throw .notStream }
        let isListening = try answer(cl_socket_is_listening(descriptor))
        let theirs = StreamSocket(descriptor: descriptor)
        let address: SocketAddress?
        switch role {
        case .listener:
            guard isListening else { throw .notListening }
            address = try? theirs.localAddress()
        case .connection:
            guard !isListening else { throw .listening }
            do throws(Errno) { address = try theirs.peerAddress() } catch { throw .notConnected }
        }
        guard let address, try theirs.hasKnownFamily() else { throw .unknownFamily }
        return (try number(for: theirs), address)
    }

    /// True of a UDP socket.
    package static func isDatagram(_ descriptor: CInt) -> Bool { cl_socket_is_udp(descriptor) == 1 }

    /// The same of a UDP socket that is bound.
    package static func take(
        datagrams descriptor: CInt
    ) throws(Failure) -> (socket: DatagramSocket, address: SocketAddress) {
        guard try answer(cl_socket_is_udp(descriptor)) else { throw .notDatagram }
        let theirs = StreamSocket(descriptor: descriptor)
        guard try theirs.hasKnownFamily(), let address = try? theirs.localAddress(), !address.isUnix else {
            throw .unknownFamily
        }
        guard address.port != 0 else { throw .notBound }
        return (DatagramSocket(descriptor: try number(for: theirs).descriptor), address)
    }

    private static func number(for theirs: StreamSocket) throws(Failure) -> StreamSocket {
        do throws(Errno) {
            let ours = try theirs.duplicate()
            do throws(Errno) { try checked(cl_set_nonblocking(ours.descriptor)) } catch {
                ours.close()
                throw error
            }
            return ours
        } catch { throw .system(error) }
    }

    /// EBADF, ENOTSOCK.
    private static func answer(_ result: CInt) throws(Failure) -> Bool {
        guard result >= 0 else { throw .system(Errno(rawValue: -result)) }
        return result == 1
    }
}

extension StreamSocket {
    fileprivate func hasKnownFamily() throws(AdoptedSocket.Failure) -> Bool {
        var raw = cl_address()
        let result = unsafe cl_local_address(descriptor, &raw)
        guard result >= 0 else { throw .system(Errno(rawValue: -result)) }
        return raw.family != 0
    }
}
