// SPDX-License-Identifier: Apache-2.0

/// Names one registration of a socket with a driver; comes back with every event.
///
/// The kernel reuses descriptor numbers at once. In one batch, event 1 may close descriptor 7 and accept a new
/// descriptor 7; event 2, still about the old one, must not reach the new connection. The generation of the slot
/// tells the two apart.
public struct EventToken: Equatable, Sendable {
    /// The slot in the connection table; the highest bit marks a listener's slot, the one below a
    /// watched descriptor's, the third a UDP socket's.
    let slot: UInt32
    /// How often the slot had been given away before.
    let generation: UInt32

    static var listenerBit: UInt32 { 1 << 31 }
    static var watchBit: UInt32 { 1 << 30 }
    static var portBit: UInt32 { 1 << 29 }
    /// The driver's own waker.
    static var waker: EventToken { EventToken(slot: .max, generation: .max) }
    /// No registration has this one.
    static var none: EventToken { EventToken(slot: .max, generation: 0) }

    init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    /// A listener's token: its index in the reactor's list.
    init(listener index: Int) { self.init(slot: UInt32(index) | EventToken.listenerBit, generation: 0) }

    /// A watched descriptor's token: its number among all that the reactor has watched.
    init(watch number: UInt32) { self.init(slot: EventToken.watchBit, generation: number) }

    /// A UDP socket's token: its place in the reactor's list, and its number among all that the reactor has had.
    init(port index: Int, number: UInt32) { self.init(slot: UInt32(index) | EventToken.portBit, generation: number) }

    /// The token that `rawValue` of another stood for.
    public init(rawValue: UInt64) {
        self.init(slot: UInt32(truncatingIfNeeded: rawValue), generation: UInt32(truncatingIfNeeded: rawValue >> 32))
    }

    /// Both parts in 64 bits, as epoll_event's data has room for.
    public var rawValue: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    /// The listener's index, or nil for a connection.
    var listenerIndex: Int? {
        slot & EventToken.listenerBit == 0 ? nil : Int(slot & ~EventToken.listenerBit)
    }

    /// The UDP socket's place.
    var portIndex: Int? { slot >> 29 == 1 ? Int(slot & ~EventToken.portBit) : nil }

    /// True for a watched descriptor.
    var isWatch: Bool { slot == EventToken.watchBit }
}
