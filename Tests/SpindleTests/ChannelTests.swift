// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import Testing

/// Channels whose senders wait.
extension EngineTests {
    @Test("sendWhenRoom: what a task sends through a tiny mailbox all arrives, in its order", arguments: [0, 1, -1])
    func waitingSends(sender: Int) async throws {
        let engine = try engine(reactors: 2) {
            $0.limits.mailboxCapacity = 2
            $0.limits.inboxCapacity = 64
        }
        let (seen, done) = (Recorder<Int>(), Gate())
        let channel = engine.makeChannel(of: Int.self) { number, _ in
            seen.add(number)
            if number == 999 { done.arrive() }
        }
        try await engine.start()
        if sender < 0 {
            for number in 0..<1000 { try await channel.sendWhenRoom(number, to: 1) }
        } else {
            try await engine.reactors[sender].execute { _ in
                for number in 0..<1000 { try await channel.sendWhenRoom(number, to: 1) }
            }
        }
        await done.wait()
        #expect(seen.values == Array(0..<1000))
        await engine.stop()
    }

    @Test("sendWhenRoom: whoever waits for a receiver that stalls can be cancelled, and is told when it has stopped")
    func waitingSendsEnd() async throws {
        let engine = try engine(reactors: 2) { $0.limits.mailboxCapacity = 2 }
        let (stalled, goOn, lost) = (Gate(), Latch(), Recorder<Int>())
        let channel = engine.makeChannel(of: Int.self) { number, _ in
            lost.add(number)
        } handler: { number, _ in
            guard number == 0 else { return }
            stalled.arrive()
            goOn.wait()
        }
        try await engine.start()
        let handles = engine.reactors
        await handles[0].execute { _ in _ = channel.send(0, to: 1) }
        await stalled.wait()
        let waiting = Task {
            try await handles[0].execute { _ in
                for number in 1... { try await channel.sendWhenRoom(number, to: 1) }
            }
        }
        while engine.snapshot()[.mailFull] < 3 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        goOn.arrive()
        await engine.stop()
        await #expect(throws: ChannelStopped(receiver: 1)) { try await channel.sendWhenRoom(1, to: 1) }
    }

    @Test("an urgent channel of an engine delivers, and answers .stopped when the engine has stopped")
    func urgentChannel() async throws {
        let engine = try engine(reactors: 2)
        let (seen, done) = (Recorder<Int>(), Gate(2))
        let channel = engine.makeChannel(of: Int.self, lane: .urgent) { _, sender in
            seen.add(sender)
            done.arrive()
        }
        try await engine.start()
        await engine.reactors[0].execute { _ in _ = channel.send(1, to: 1) }
        channel.send(2, to: 0)
        await done.wait()
        #expect(seen.values.sorted() == [-1, 0])
        await engine.stop()
        #expect(channel.send(3, to: 0) == .stopped)
    }
}
