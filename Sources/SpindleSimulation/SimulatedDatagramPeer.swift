// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleReactor
internal import SpindleSystem

extension SimulatedNetwork {
    /// A UDP socket in the hands of a test.
    ///
    /// - Parameter address: Where; nil for loopback, with a port of the network's choice, which port 0 means too.
    public func openDatagramPeer(at address: SocketAddress? = nil) -> SimulatedDatagramPeer {
        var options = DatagramOptions()
        options.usesGroups = false
        let fitting = options.fitting(ReactorConfiguration())
        let id = state.withLock { $0.addDatagramPeer(address, fitting) }
        return SimulatedDatagramPeer(network: self, id: id)
    }
}

/// A UDP socket of a simulated network whose program is the test. A reference that may be copied; after `close` every
/// call does nothing.
public struct SimulatedDatagramPeer: Sendable {
    let network: SimulatedNetwork
    let id: SocketID

    private func withSocket<Result: Sendable>(
        _ absent: Result,
        _ body: (inout NetworkState, Int) -> Result
    ) -> Result {
        network.state.withLock { state in
            guard let index = state.datagramIndex(id) else { return absent }
            return body(&state, index)
        }
    }

    /// Where it is; nil once it was closed.
    public var localAddress: SocketAddress? { withSocket(nil) { $0.datagramSockets[$1].address } }

    /// Sends a datagram, which may be lost, doubled or late as the network's `FaultPlan` has it.
    public func send(_ bytes: [UInt8], to address: SocketAddress, ecn: CongestionMark = .notCapable) {
        withSocket(()) { state, index in
            state.send(
                SimulatedDatagram(
                    from: state.datagramSockets[index].address,
                    to: address,
                    bytes: bytes,
                    ecn: ecn,
                    sender: id
                )
            )
        }
    }

    /// Takes the oldest that has arrived; nil when none has.
    public func receive() -> (bytes: [UInt8], from: SocketAddress)? {
        withSocket(nil) { state, index in state.takeDatagrams(index).map { ($0.bytes, $0.first.from) } }
    }

    /// Lets go of the socket: what is sent there is refused.
    public func close() { network.state.withLock { $0.closeDatagrams(id) } }
}
