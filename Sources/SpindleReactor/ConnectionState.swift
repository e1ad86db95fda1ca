// SPDX-License-Identifier: Apache-2.0

/// Where a connection is in its life, and what has to happen next.
///
/// Pure: no I/O, no clock, no buffer. The connection reports what happened and performs the actions it is given,
/// one at a time, until there is none.
///
///     open ──loseConnection──▶ draining ──all sent──▶ closing ──▶ lingering ──▶ closed
///       └──────────── abort, failure, reset ────────────▶ closing ───────────────▲
struct ConnectionState {
    enum Phase: UInt8 {
        /// Being established by this side: no protocol object yet.
        case connecting
        /// Bytes go both ways, as far as neither side has ended.
        case open
        /// `loseConnection` was called: what was accepted goes out, nothing comes in.
        case draining
        /// In the close queue; `connectionLost` follows.
        case closing
        /// The protocol is gone; input is dropped until the peer closes.
        case lingering
        /// The descriptor is closed.
        case closed
    }

    struct Flags: OptionSet {
        let rawValue: UInt32
        /// The protocol paused reading.
        static let pausedByProtocol = Flags(rawValue: 1 << 0)
        /// The high watermark paused reading.
        static let pausedByWatermark = Flags(rawValue: 1 << 1)
        /// Bytes may wait that no further edge will announce.
        static let inputWaits = Flags(rawValue: 1 << 2)
        /// No further edge comes at all: a short read does not mean drained.
        static let inputIsFinal = Flags(rawValue: 1 << 3)
        /// The peer's end was read.
        static let inputEnded = Flags(rawValue: 1 << 4)
        /// On the reactor's list of connections to read from.
        static let onReadyList = Flags(rawValue: 1 << 5)
        /// On the reactor's list of connections to settle at flush.
        static let onFlushList = Flags(rawValue: 1 << 6)
        /// The socket is full; its edge will say when not.
        static let outputBlocked = Flags(rawValue: 1 << 7)
        /// Bytes had to wait since the last `writeDrained`.
        static let outputWaited = Flags(rawValue: 1 << 8)
        /// Above the high watermark, and not yet down at the low one.
        static let aboveWatermark = Flags(rawValue: 1 << 9)
        /// `loseWriteConnection` was called.
        static let outputEnding = Flags(rawValue: 1 << 10)
        /// The peer was told that no more comes.
        static let outputEnded = Flags(rawValue: 1 << 11)
        /// Urgent data is on the way: a receive stops at its mark, so a short read does not mean drained.
        static let inputHasUrgent = Flags(rawValue: 1 << 12)
        /// A send failed: what is written goes nowhere, while input that came before is still delivered.
        static let outputBroken = Flags(rawValue: 1 << 13)
        /// A protocol was built for it.
        static let served = Flags(rawValue: 1 << 14)
        /// Input is taken when a task asks for it, and not handed to the protocol.
        static let pulled = Flags(rawValue: 1 << 15)
        /// Bytes were put back, or came along from another reactor: they go before those of the kernel.
        static let inputKept = Flags(rawValue: 1 << 16)

        /// The protocol goes on reading above the high watermark.
        static let keepsReading = Flags(rawValue: 1 << 17)
        /// A Unix socket: a receive stops at descriptors that were passed, which has to be asked for.
        static let mayBePassed = Flags(rawValue: 1 << 18)
        /// Reading is limited to a rate.
        static let inputPaced = Flags(rawValue: 1 << 19)
        /// Reading waits until the rate allows more.
        static let inputHeld = Flags(rawValue: 1 << 20)
        /// What is written goes by way of the queue: writing is limited to a rate, or descriptors go along.
        static let outputQueued = Flags(rawValue: 1 << 21)

        /// A producer writes: it is told when nothing that it writes can arrive any more.
        static let hasProducer = Flags(rawValue: 1 << 22)
        /// Somebody else has opened the socket, and may have another number of it.
        static let adopted = Flags(rawValue: 1 << 23)
        /// The file that is next is being read into memory by another thread.
        static let fileLoading = Flags(rawValue: 1 << 24)

        /// With none of these, what came in is asked for and delivered.
        static let uncommonInput: Flags = [.pulled, .inputKept, .inputPaced]

        /// With none of these, a short read means that no input waits.
        static let moreMayWait: Flags = [.inputIsFinal, .inputHasUrgent, .inputKept]

        /// With none of these, bytes that come in go to the protocol and what it writes to the socket: every echo.
        static let special: Flags = [
            .pausedByProtocol, .pausedByWatermark, .inputIsFinal, .inputEnded, .inputHasUrgent,
            .outputBlocked, .outputWaited, .aboveWatermark, .outputEnding, .outputBroken, .inputHeld, .outputQueued,
        ]
    }

    /// What the connection must do now.
    enum Action: Equatable {
        case nothing
        /// Too many unsent bytes: end it with a reset.
        case abortOverLimit
        /// Tell the protocol; reading is paused.
        case highWatermark
        /// Tell the protocol; reading may go on.
        case lowWatermark
        /// Tell the protocol that nothing waits any more.
        case drained
        /// shutdown(2), then tell the protocol.
        case endOutput
        /// Everything was sent: enter the close queue.
        case close
    }

    private(set) var phase: Phase
    var flags: Flags = []

    init(_ phase: Phase = .open) { self.phase = phase }

    /// True while bytes may be handed to the protocol.
    var mayRead: Bool {
        phase == .open && flags.isDisjoint(with: [.pausedByProtocol, .pausedByWatermark, .inputEnded, .inputHeld])
    }

    /// True while reading goes on by itself, though it may wait for a limit.
    var willRead: Bool {
        phase == .open && flags.isDisjoint(with: [.pausedByProtocol, .pausedByWatermark, .inputEnded])
    }

    /// True for almost every event: `mayRead` and `acceptsWrites`, nothing is unsent, and `nextAction` is `.nothing`.
    var isPlain: Bool { phase == .open && flags.isDisjoint(with: .special) }

    var acceptsWrites: Bool { phase == .open && flags.isDisjoint(with: [.outputEnding, .outputBroken]) }

    /// True while the protocol object is to be told things.
    var isLive: Bool { phase == .open || phase == .draining }

    mutating func established() {
        precondition(phase == .connecting, "established in phase \(phase)")
        phase = .open
    }

    /// A send failed, and everything unsent was dropped: nothing waits any more, so nothing is to be told of it.
    mutating func outputBroke() {
        flags.insert(.outputBroken)
        flags.subtract([.outputWaited, .aboveWatermark])
    }

    /// The protocol asked for an orderly end. Idempotent.
    mutating func loseConnection() {
        if phase == .open { phase = .draining }
    }

    mutating func loseWriteConnection() {
        if phase == .open { flags.insert(.outputEnding) }
    }

    /// The connection ends now, whatever is unsent.
    ///
    /// - Returns: False when it is ending already: the first reason stands.
    mutating func end() -> Bool {
        guard phase == .open || phase == .draining || phase == .connecting else { return false }
        phase = .closing
        return true
    }

    /// The protocol was told; the socket lives on to take what the peer still sends.
    mutating func linger() {
        precondition(phase == .closing, "linger in phase \(phase)")
        phase = .lingering
    }

    mutating func closed() {
        precondition(phase == .closing || phase == .lingering, "closed in phase \(phase)")
        phase = .closed
    }

    /// A close from this side needs lingering unless the peer's end was read: unread input would turn the close
    /// into a reset, and the peer would lose the tail of what it was sent (RFC 1122 §4.2.2.13).
    var needsLinger: Bool { !flags.contains(.inputEnded) }

    /// What has to happen, given the unsent bytes. Called again after each action until `.nothing`.
    ///
    /// - Parameter weight: What they count against the hard limit: those of files lie on disk.
    mutating func nextAction(unsentBytes: Int, weight: Int, limits: ReactorConfiguration) -> Action {
        guard isLive else { return .nothing }
        if weight > limits.writeLimitBytes { return .abortOverLimit }
        if unsentBytes > limits.writeHighWatermarkBytes, !flags.contains(.aboveWatermark) {
            flags.insert(.aboveWatermark)
            if limits.pausesReadingAtHighWatermark, !flags.contains(.keepsReading) { flags.insert(.pausedByWatermark) }
            return .highWatermark
        }
        if unsentBytes <= limits.writeLowWatermarkBytes, flags.contains(.aboveWatermark) {
            flags.subtract([.aboveWatermark, .pausedByWatermark])
            return .lowWatermark
        }
        guard unsentBytes == 0 else { return .nothing }
        if flags.contains(.outputWaited) {
            flags.remove(.outputWaited)
            return .drained
        }
        if phase == .draining {
            phase = .closing
            return .close
        }
        if flags.contains(.outputEnding), !flags.contains(.outputEnded) {
            flags.insert(.outputEnded)
            return .endOutput
        }
        if flags.isSuperset(of: [.outputEnded, .inputEnded]) {
            phase = .closing
            return .close
        }
        return .nothing
    }
}
