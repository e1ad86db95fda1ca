// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem

/// The client's end of a connection under test: a real non-blocking socket, or a simulated peer.
///
/// Sends and receives when the bench pumps it, between turns; `readsInput` off makes it a client that does not read.
final class ContractClient {
    private enum End {
        case socket(StreamSocket)
        case peer(SimulatedPeer)
    }

    private var end: End?
    private var unsent: [UInt8] = []
    private var shutsDownWhenSent = false
    private(set) var received: [UInt8] = []
    /// The server's end of stream was read.
    private(set) var isAtEnd = false
    /// What receiving failed with.
    private(set) var error: Errno?
    var readsInput = true
    let localAddress: SocketAddress?

    init(socket: StreamSocket) {
        end = .socket(socket)
        localAddress = try? socket.localAddress()
    }

    init(peer: SimulatedPeer) {
        end = .peer(peer)
        localAddress = peer.localAddress
    }

    deinit { close() }

    var text: String { String(decoding: received, as: UTF8.self) }
    /// The connection is over for this end, one way or the other.
    var isOver: Bool { isAtEnd || error != nil }

    /// The port at the other end.
    var serverPort: UInt16?

    /// The descriptor, with the epoll driver.
    var descriptor: Int32? {
        if case .socket(let socket)? = end { return socket.descriptor }
        return nil
    }

    func send(_ bytes: [UInt8]) {
        unsent += bytes
        pump()
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func shutdownWrites() {
        shutsDownWhenSent = true
        pump()
    }

    /// Lets go of the socket; what the kernel has not sent yet still goes out.
    func close() { finish(reset: false) }

    func reset() { finish(reset: true) }

    private func finish(reset: Bool) {
        switch end {
        case .socket(let socket):
            if reset { socket.resetOnClose() }
            socket.close()
        case .peer(let peer): if reset { peer.reset() } else { peer.close() }
        case nil: break
        }
        end = nil
    }

    /// Moves bytes both ways as far as they go now.
    func pump() {
        guard let end else { return }
        switch end {
        case .socket(let socket): pump(socket)
        case .peer(let peer): pump(peer)
        }
    }

    private func pump(_ peer: SimulatedPeer) {
        if !unsent.isEmpty {
            peer.send(unsent)
            unsent = []
        }
        if shutsDownWhenSent { peer.shutdownWrites() }
        guard readsInput else { return }
        received += peer.receive()
        isAtEnd = peer.isAtEnd
        if peer.unreadByteCount == 0 { error = peer.error }
    }

    private func pump(_ socket: StreamSocket) {
        sending: while !unsent.isEmpty {
            switch unsafe unsent.withUnsafeBytes({ unsafe socket.send($0) }) {
            case .bytes(let count): unsent.removeFirst(count)
            case .wouldBlock, .end: break sending
            case .failed: unsent = []
            }
        }
        if shutsDownWhenSent, unsent.isEmpty {
            shutsDownWhenSent = false
            socket.shutdownWrites()
        }
        guard readsInput, !isOver else { return }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            switch unsafe buffer.withUnsafeMutableBytes({ unsafe socket.receive(into: $0) }) {
            case .bytes(let count): received += buffer[..<count]
            case .wouldBlock: return
            case .end:
                isAtEnd = true
                return
            case .failed(let errno):
                error = errno
                return
            }
        }
    }
}
