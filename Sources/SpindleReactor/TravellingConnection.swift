// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// A live connection on its way from one reactor to another: what the new one needs to go on with it.
///
/// Bytes that wait in the kernel stay there. The protocol object stays behind and has ended.
struct TravellingConnection: Sendable {
    typealias Build = @Sendable (any StreamTransport) throws -> (any StreamProtocol)?

    let target: ReactorHandle
    let peer: SocketAddress
    /// Taken from the kernel, and not yet seen by the new protocol.
    var unread: [ByteChunk]
    /// Written, and not yet taken by the kernel.
    let unsent: WriteQueue
    let flags: ConnectionState.Flags
    /// Nanoseconds; 0 for never.
    let idleTimeout: UInt64
    /// Nanoseconds of the clock that all reactors of the machine have; 0 for never.
    let handshakeDue: UInt64
    /// What it keeps until it is closed.
    let held: [any AnyObject & Sendable]
    /// Descriptors that came and those that are to be sent.
    var passing = Passing()
    /// What the kernel sends from where it lies.
    var inPlace = SendsInPlace()
    let readLimits: [RateLimit]
    let writeLimits: [RateLimit]
    let build: Build
}
