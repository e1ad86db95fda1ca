// SPDX-License-Identifier: Apache-2.0

/// Writes to a transport when it likes to: told to pause while more is unsent than the high watermark.
///
/// Registered with `StreamTransport.register(_:)`; its callbacks come on the connection's reactor, behind those of the
/// connection's own protocol.
public protocol PushProducer: AnyObject {
    /// Too much is unsent: write no more until `resumeProducing`. What is written all the same counts.
    func pauseProducing()

    /// The unsent bytes fell to the low watermark: write on.
    func resumeProducing()

    /// Nothing that is written can arrive any more: this side closes or has ended its output, or the connection is
    /// over. Called once, before the protocol's `connectionLost`; not after `unregisterProducer`.
    func stopProducing()
}

/// Writes to a transport when it is asked to: for what can be had piece by piece, as from an iterator.
public protocol PullProducer: AnyObject {
    /// Nothing is unsent: write the next piece.
    ///
    /// - Returns: True when more follow; it is asked again in a later turn, once this piece was sent. False when that
    ///   was all: it is not registered any more. Who has nothing now but will have later is a `PushProducer`.
    func produce() -> Bool

    /// As of `PushProducer`.
    func stopProducing()
}

/// A transport has a producer already.
public struct ProducerError: Error, Equatable, CustomStringConvertible {
    /// There is but this reason.
    public init() {}
    /// One sentence.
    public var description: String { "the connection has a producer already; unregister that one first" }
}
