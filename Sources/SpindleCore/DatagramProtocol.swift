// SPDX-License-Identifier: Apache-2.0

/// What a program does with the datagrams of one socket.
///
/// One object per socket: of a listener, one on every reactor. It is used on that reactor's thread for its whole life,
/// so it needs no locks. The order is: `startProtocol` once, `datagramReceived` and `connectionRefused` any number of
/// times, `stopProtocol` once, nothing after. No callback is entered while another of the same reactor runs.
///
/// A callback that throws loses its datagram and nothing else: the error is logged, and the socket goes on.
public protocol DatagramProtocol: AnyObject {
    /// What the callbacks may throw; `Never` when nothing is declared.
    associatedtype Failure: Error = Never

    /// The socket this object serves: the one that it was made for.
    var transport: any DatagramTransport { get }

    /// The socket is bound, and may be sent from.
    func startProtocol() throws(Failure)

    /// A datagram came in, whole but for `origin.isTruncated`.
    ///
    /// - Parameters:
    ///   - bytes: 0 to 65,507, over IPv6 to 65,527. Valid during the call only; keep a copy with `ByteChunk(copying:)`.
    ///   - origin: Who sent it, and which way it came. `transport.reply` answers it.
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) throws(Failure)

    /// The peer that the socket is connected to has no socket there (ECONNREFUSED); it may have one later.
    func connectionRefused() throws(Failure)

    /// The socket is closed; nothing can be sent any more.
    func stopProtocol() throws(Failure)

    /// Calls `datagramReceived` and returns what it threw. Not to be implemented: the default is compiled into the
    /// protocol's own module, where `Failure` is known.
    func _deliver(_ bytes: Span<UInt8>, from origin: DatagramOrigin) -> (any Error)?
}

extension DatagramProtocol {
    /// Does nothing.
    public func startProtocol() throws(Failure) {}
    /// Does nothing.
    public func connectionRefused() throws(Failure) {}
    /// Does nothing.
    public func stopProtocol() throws(Failure) {}

    /// Calls `datagramReceived`.
    @inlinable
    public func _deliver(_ bytes: Span<UInt8>, from origin: DatagramOrigin) -> (any Error)? {
        do { try datagramReceived(bytes, from: origin) } catch { return error }
        return nil
    }
}

/// A datagram protocol that takes what the kernel hands over as one, without having it taken apart.
///
/// Datagrams of one peer that came one after the other, all of one size but for the last, which may be shorter, come
/// as a run (UDP_GRO, udp(7)). What answers them in one call (`reply(_:each:)`) is by far cheaper: decision 0017.
public protocol DatagramRunProtocol: DatagramProtocol {
    /// Several datagrams of one peer came in.
    ///
    /// - Parameters:
    ///   - run: Their bytes, one datagram behind the other; more than `segmentBytes`. Valid during the call only.
    ///   - segmentBytes: The bytes of each but the last.
    ///   - origin: Who sent them, and which way they came.
    func datagramsReceived(_ run: Span<UInt8>, each segmentBytes: Int, from origin: DatagramOrigin) throws(Failure)

    /// Calls `datagramsReceived` and returns what it threw. Not to be implemented.
    func _deliver(_ run: Span<UInt8>, each segmentBytes: Int, from origin: DatagramOrigin) -> (any Error)?
}

extension DatagramRunProtocol {
    /// Calls `datagramsReceived`.
    @inlinable
    public func _deliver(_ run: Span<UInt8>, each segmentBytes: Int, from origin: DatagramOrigin) -> (any Error)? {
        do { try datagramsReceived(run, each: segmentBytes, from: origin) } catch { return error }
        return nil
    }
}
