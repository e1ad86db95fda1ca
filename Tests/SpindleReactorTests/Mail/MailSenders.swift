// SPDX-License-Identifier: Apache-2.0

import SpindleSystem

@testable import SpindleReactor

/// The two ends of a ring, without reactors.
enum RingEnds {
    private static let channel: UInt32 = 7

    /// Puts so many numbered messages, six words each, and publishes in batches.
    static func produce(_ count: UInt64, into ring: MailRing, batch: Int, full: Count) {
        var unpublished = 0
        for number in 0..<count {
            var payload = unsafe ring.reserve(channel: channel)
            while unsafe payload == nil {
                full.increment()
                ring.publish()
                unpublished = 0
                SystemThread.yield()
                unsafe payload = unsafe ring.reserve(channel: channel)
            }
            for word in 0..<6 {
                unsafe payload!.storeBytes(of: number &* UInt64(word + 1), toByteOffset: word * 8, as: UInt64.self)
            }
            ring.commit()
            unpublished += 1
            if unpublished == batch {
                ring.publish()
                unpublished = 0
            }
        }
        ring.publish()
    }

    /// - Returns: How many messages were not what they should be.
    static func consume(_ count: UInt64, from ring: MailRing) -> Int {
        var wrong = 0
        var number: UInt64 = 0
        while number < count {
            while let (channel, payload) = unsafe ring.next() {
                let isWhole = (0..<6).allSatisfy { word in
                    unsafe payload.load(fromByteOffset: word * 8, as: UInt64.self) == number &* UInt64(word + 1)
                }
                if channel != Self.channel || !isWhole { wrong += 1 }
                ring.consume()
                number += 1
            }
            ring.release()
            SystemThread.yield()
        }
        return wrong
    }
}

/// One of two reactors that send each other numbers, each only so far ahead of what it has received: now and then
/// one has nothing to do until the other has sent.
// Sendable: touched by its own reactor only, and by the test when that has ended.
final class ExchangeSide: @unchecked Sendable {
    private let goal: Int
    private let peer: Int
    private let finished: Count
    private var random: UInt64
    private var channel: Channel<Int>?
    private var sent = 0
    private var received = 0
    private var lead = 1
    private var isRetrying = false
    private var isInOrder = true
    private var hasReported = false

    init(seed: UInt64, goal: Int, peer: Int, _ finished: Count) {
        random = seed
        self.goal = goal
        self.peer = peer
        self.finished = finished
    }

    var isComplete: Bool { isInOrder && sent == goal && received == goal }

    func start(_ channel: Channel<Int>) {
        self.channel = channel
        send()
    }

    func receive(_ number: Int) {
        if number != received { isInOrder = false }
        received += 1
        send()
    }

    private func send() {
        guard let channel, !isRetrying else { return }
        while sent < goal, sent < received + lead {
            guard channel.send(sent, to: peer) == .sent else { return retry() }
            sent += 1
            // xorshift: how far ahead the next message may be.
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            lead = 1 + Int(random % 300)
        }
        if !hasReported, sent == goal, received == goal {
            hasReported = true
            finished.increment()
        }
    }

    private func retry() {
        isRetrying = true
        _ = Reactor.current?.callLater(.microseconds(20)) { [self] in
            isRetrying = false
            send()
        }
    }
}

/// Sends numbered messages, trying again in the next turn when the mailbox is full, until all are sent or the
/// receiver has stopped. Core-local.
// Sendable: handed to its reactor's thread once, in a job, and touched there alone.
final class PatientSender: @unchecked Sendable {
    private let count: Int
    private let send: (Int) -> SubmitResult
    private var sent = 0

    init(count: Int = .max, _ send: @escaping (Int) -> SubmitResult) {
        self.count = count
        self.send = send
    }

    /// - Parameter end: Gets how many were sent.
    func run(end: @escaping (Int) -> Void = { _ in }) {
        while sent < count {
            switch send(sent) {
            case .sent: sent += 1
            case .full:
                Reactor.current?.callSoon { self.run(end: end) }
                return
            case .stopped: return end(sent)
            }
        }
        end(sent)
    }
}
