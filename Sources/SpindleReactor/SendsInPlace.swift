// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Chunks that the kernel sends from where they lie: each is kept until the kernel has said that its send is completed,
/// or its memory would be another's while a segment of it is sent once more.
public struct SendsInPlace: Sendable {
    enum Ability { case unknown, can, cannot }

    private var waiting: ContiguousArray<(number: UInt32, chunk: ByteChunk)> = []
    /// Of the next send, as the kernel counts them.
    private var next: UInt32 = 0
    var ability = Ability.unknown
    /// Completed so far, and of those the kernel had to copy some.
    private(set) var copiedCount = 0

    var isEmpty: Bool { waiting.isEmpty }
    /// The kernel has counted sends.
    var isUsed: Bool { ability != .unknown }

    mutating func sent(_ chunk: ByteChunk) {
        waiting.append((next, chunk))
        next &+= 1
    }

    /// For drivers: the sends of these numbers are completed, counted from 0 in the order in which they took bytes.
    public mutating func complete(_ sends: (first: UInt32, last: UInt32), wereCopied: Bool) {
        let before = waiting.count
        // The numbers begin again behind the last one.
        waiting.removeAll { $0.number &- sends.first <= sends.last &- sends.first }
        if wereCopied { copiedCount += before - waiting.count }
    }

    mutating func takeAll() -> [ByteChunk] {
        defer { waiting = [] }
        return waiting.map(\.chunk)
    }

    mutating func takeCopiedCount() -> Int {
        defer { copiedCount = 0 }
        return copiedCount
    }
}

extension Connection {
    var hasSendsInPlace: Bool {
        guard let extras else { return false }
        return !extras.inPlace.isEmpty
    }

    /// Offers the chunk's first bytes, so many at most, to be sent from where they lie.
    ///
    /// - Returns: Nil when that can't be done: nothing was sent.
    @inline(never)
    func sendInPlace(_ chunk: ByteChunk, upTo limit: Int) -> SendOutcome? {
        let extras = makeExtras()
        if extras.inPlace.ability == .unknown {
            // The kernel may have counted sends of whoever had an adopted socket before.
            let can = !state.flags.contains(.adopted) && reactor.driver.enableSendsInPlace(of: handle)
            extras.inPlace.ability = can ? .can : .cannot
        }
        guard extras.inPlace.ability == .can else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: chunk.baseAddress, count: min(chunk.count, limit))
        let outcome = unsafe reactor.driver.sendInPlace(bytes, to: handle)
        if case .sent(let count)? = outcome, count > 0 {
            extras.inPlace.sent(chunk)
            reactor.counters.add(.zeroCopySends)
        }
        return outcome
    }
}

extension Reactor {
    /// Lets go of what the kernel has sent. Its completions come as an error, which is none.
    ///
    /// - Returns: What else has happened.
    @inline(__always)
    func takeCompletions(of connection: Connection, _ readiness: Readiness) -> Readiness {
        guard readiness.contains(.error), let extras = connection.extras, extras.inPlace.isUsed else {
            return readiness
        }
        return takeCompletions(of: connection, extras, readiness)
    }

    @inline(never)
    private func takeCompletions(
        of connection: Connection,
        _ extras: ConnectionExtras,
        _ readiness: Readiness
    ) -> Readiness {
        driver.takeCompletions(of: connection.handle, &extras.inPlace)
        counters.add(.zeroCopyCopied, extras.inPlace.takeCopiedCount())
        if connection.state.phase == .lingering, extras.inPlace.isEmpty {
            if connection.state.flags.contains(.inputEnded) {
                close(connection, reset: false)
            } else {
                // It need not stay for longer than others.
                armTimer(of: connection)
            }
        }
        // A connection that is broken hangs up as well.
        return readiness.contains(.hangUp) ? readiness : readiness.subtracting(.error)
    }

    /// The socket is reset, but a network card may still have a part of it: what lies there stays for as long as others
    /// linger.
    ///
    /// - Returns: True when there is anything.
    func keepSendsInPlace(of connection: Connection) -> Bool {
        guard connection.hasSendsInPlace, let chunks = connection.extras?.inPlace.takeAll() else { return false }
        keep(chunks)
        return true
    }

    func keep(_ chunks: [ByteChunk]) {
        if !chunks.isEmpty { _ = callLater(configuration.lingerTimeout) { withExtendedLifetime(chunks) {} } }
    }
}
