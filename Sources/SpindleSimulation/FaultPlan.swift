// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// What goes wrong in a simulated network, and how often.
///
/// Every fault is one that a kernel may show: what a fault holds back is announced by a new edge, as the kernel
/// would when the missing bytes or the missing room come a moment later. A pure value; the network draws from its
/// own seed, so equal plans on equal seeds fail alike. Probabilities are 0...1, per call.
public struct FaultPlan: Sendable, Equatable {
    /// A receive returns fewer bytes than wait; an edge announces the rest.
    public var partialReads = 0.0
    /// A receive returns none though bytes wait; an edge announces them.
    public var emptyReads = 0.0
    /// A send takes fewer bytes than there is room for; an edge announces the room.
    public var partialWrites = 0.0
    /// A send takes none though there is room; an edge announces the room.
    public var fullWrites = 0.0
    /// The connection of a send or receive is broken from the middle of the network: both ends see a reset.
    public var resets = 0.0
    /// A datagram is lost on its way.
    public var datagramLosses = 0.0
    /// A datagram arrives twice.
    public var datagramDuplicates = 0.0
    /// An accept fails with one of `acceptErrnos`.
    public var acceptErrors = 0.0
    /// What a failing accept fails with. `ECONNABORTED` takes the connection out of the queue (and resets it);
    /// every other errno leaves the queue alone.
    public var acceptErrnos: [Errno] = FaultPlan.everyAcceptErrno
    /// A wait reports a registration once more though nothing changed, as epoll may.
    public var extraEvents = 0.0
    /// How long bytes, ends, resets and datagrams are on their way. In each direction the order of bytes is kept, that
    /// of datagrams is not.
    public var delays: ClosedRange<Duration> = .zero ... .zero
    /// Nobody answers at these addresses: a connection to one is neither established nor refused.
    public var silentAddresses: Set<SocketAddress> = []

    /// Nothing goes wrong.
    public static let none = FaultPlan()

    /// The errors of accept(2) that a server meets in practice.
    public static let everyAcceptErrno: [Errno] = [
        .tooManyFiles, .tooManyFilesInSystem, .noBufferSpace, .noMemory, .connectionAborted, .notPermitted,
        .interrupted,
    ]

    /// A plan in which nothing goes wrong.
    public init() {}

    /// A plan drawn from `seed`: each fault is off in about half of all plans, so that their combinations differ.
    ///
    /// - Parameters:
    ///   - seed: Any number; the same one gives the same plan.
    ///   - resets: False keeps connections alive, for tests that count every byte.
    public init(seed: UInt64, resets: Bool = false) {
        var random = SeededRandom(seed: seed)
        func draw(upTo limit: Double) -> Double {
            let isOn = random.below(2) == 1
            let share = Double(random.below(1000)) / 1000
            return isOn ? share * limit : 0
        }
        partialReads = draw(upTo: 0.5)
        emptyReads = draw(upTo: 0.3)
        partialWrites = draw(upTo: 0.5)
        fullWrites = draw(upTo: 0.3)
        acceptErrors = draw(upTo: 0.3)
        extraEvents = draw(upTo: 0.2)
        let longest = draw(upTo: 5)
        delays = .zero ... .microseconds(Int64(longest * 1000))
        let share = draw(upTo: 0.01)
        if resets { self.resets = share }
        datagramLosses = draw(upTo: 0.2)
        datagramDuplicates = draw(upTo: 0.1)
    }
}
