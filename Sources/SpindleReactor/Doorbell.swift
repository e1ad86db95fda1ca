// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// The memory operations of the ring-or-sleep protocol, so that a test can run the protocol itself on a model.
///
/// The engine's memory never interrupts (`Interruption` is `Never`); the checker's stops before every operation
/// and enumerates all interleavings, store buffers included (`DoorbellModelTests`).
protocol DoorbellMemory {
    associatedtype Interruption: Error
    /// Words of the bitmap.
    var wordCount: Int { get }
    /// A read-modify-write: a full fence.
    func or(_ bits: UInt64, intoWord word: Int) throws(Interruption)
    func load(word: Int) throws(Interruption) -> UInt64
    /// A read-modify-write: takes the bits and what was published before them.
    func take(word: Int) throws(Interruption) -> UInt64
    func loadSleeping() throws(Interruption) -> Bool
    /// A read-modify-write: a full fence.
    func exchangeSleeping(_ value: Bool) throws(Interruption) -> Bool
    func storeSleeping(_ value: Bool) throws(Interruption)
}

/// Tells a reactor that mail waits, and wakes it only when it sleeps.
///
///     sender                                receiver
///     publish mail                          sleeping ⇄ true      (full fence)
///     bitmap |= bit      (full fence)       bitmap empty?  no: sleeping ← false, go on
///     sleeping?  yes: sleeping ⇄ false,                    yes: sleep
///                and wake if it was true
///
/// Each side writes, fences, then reads what the other writes: one of them sees the other (Dekker). The OR is
/// *always* executed: leaving it out "because the bit is set already" leaves out the fence, and lost 164 rings in
/// 34 million when it was tried.
extension DoorbellMemory {
    /// Sets `bit` in the bitmap.
    ///
    /// - Returns: True when the caller has to wake the receiver: it sleeps, and nobody else is waking it.
    @inline(__always)
    func ring(_ bit: Int) throws(Interruption) -> Bool {
        try or(1 << UInt64(bit & 63), intoWord: bit >> 6)
        guard try loadSleeping() else { return false }
        return try exchangeSleeping(false)
    }

    /// Announces that the receiver is about to sleep.
    ///
    /// - Returns: False when mail came meanwhile: the receiver must look instead.
    @inline(__always)
    func prepareToSleep() throws(Interruption) -> Bool {
        _ = try exchangeSleeping(true)
        for word in 0..<wordCount where try load(word: word) != 0 {
            try storeSleeping(false)
            return false
        }
        return true
    }

    /// Announces that the receiver is up.
    @inline(__always)
    func wakeUp() throws(Interruption) { try storeSleeping(false) }
}

/// The doorbell of one reactor in real memory: rung from any thread, looked at by its reactor.
///
/// The bitmap has a bit per reactor, one for the inbox of foreign threads and one for urgent mail. It and the flag lie
/// on lines of their own: the flag is read by every sender and written only around sleeps. A value of addresses, so
/// that each side keeps its own copy; the memory is its reactor's handle's.
// Sendable: atomics only.
@safe struct Doorbell: DoorbellMemory, @unchecked Sendable {
    typealias Interruption = Never

    let wordCount: Int
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let sleeping: UnsafeMutablePointer<Atomic<Bool>>

    init(bitCount: Int, in memory: LineMemory) {
        wordCount = (bitCount + 63) / 64
        unsafe words = unsafe memory.takeAtomics(wordCount)
        unsafe sleeping = unsafe memory.take(Atomic<Bool>.self)
    }

    @inline(__always)
    func or(_ bits: UInt64, intoWord word: Int) {
        unsafe words[word].bitwiseOr(bits, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func load(word: Int) -> UInt64 { unsafe words[word].load(ordering: .sequentiallyConsistent) }

    @inline(__always)
    func take(word: Int) -> UInt64 { unsafe words[word].exchange(0, ordering: .acquiringAndReleasing) }

    @inline(__always)
    func loadSleeping() -> Bool { unsafe sleeping.pointee.load(ordering: .sequentiallyConsistent) }

    @inline(__always)
    func exchangeSleeping(_ value: Bool) -> Bool {
        unsafe sleeping.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func storeSleeping(_ value: Bool) { unsafe sleeping.pointee.store(value, ordering: .releasing) }

    /// True when this bit is set: a glance, without a fence.
    @inline(__always)
    func isRung(_ bit: Int) -> Bool {
        unsafe words[bit >> 6].load(ordering: .relaxed) & 1 << UInt64(bit & 63) != 0
    }

    /// True when any bit is set: a glance, without a fence.
    @inline(__always)
    var isRung: Bool {
        for word in 0..<wordCount where unsafe words[word].load(ordering: .relaxed) != 0 { return true }
        return false
    }
}
