// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleSystem

@Suite(.serialized) struct SystemTests {
    @Test("C35: the clock never goes back")
    func clock() {
        var last = SystemClock.now()
        for _ in 0..<1000 {
            let now = SystemClock.now()
            #expect(now >= last)
            last = now
        }
    }

    @Test("the limit of descriptors is raised to what was asked, never lowered, never beyond the hard limit")
    func descriptorLimit() throws {
        let before = try DescriptorLimit.current()
        #expect(try DescriptorLimit.raise(to: 1) == before)
        let raised = try DescriptorLimit.raise(to: .max)
        #expect(raised.soft == raised.hard && raised.hard == before.hard)
        DescriptorLimit.growTable(to: Int(min(raised.soft, 5000)))
        _ = try DescriptorLimit.setSoft(to: before.soft)
    }

    @Test("somaxconn can be read")
    func somaxconn() { #expect((KernelSetting.maximumBacklog ?? 0) > 0) }

    @Test("a thread has its affinity to itself, and a CPU that is not there is refused")
    func thread() async throws {
        let cpus = try SystemThread.affinity()
        let seen = Guarded<[Int]?>(nil)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            do throws(Errno) {
                try SystemThread.start(name: "a name that is far too long") {
                    try? SystemThread.setAffinity([cpus[0]])
                    seen.withLock { $0 = try? SystemThread.affinity() }
                    continuation.resume()
                }
            } catch { continuation.resume() }
        }
        #expect(seen.withLock { $0 } == [cpus[0]])
        #expect(try SystemThread.affinity() == cpus)
        #expect(throws: Errno.invalidArgument) { try SystemThread.setAffinity([8191]) }
    }

    @Test("a latch opens after so many arrivals, and one that needs none is open")
    func latch() async {
        Latch(count: 0).wait()
        let latch = Latch(count: 2)
        await withTaskGroup(of: Void.self) { group in for _ in 0..<2 { group.addTask { latch.arrive() } } }
        latch.wait()
    }

    @Test("a lock that is taken can be tried without waiting")
    func guarded() {
        let value = Guarded(1)
        value.withLock { outer in
            outer += 1
            #expect(value.withLockIfAvailable { $0 } == nil)
        }
        #expect(value.withLockIfAvailable { $0 } == 2)
    }

    @Test("one catcher of signals at a time, and the handlers before are back afterwards")
    func signals() throws {
        let event = try EventDescriptor()
        var first = SignalCatcher(event: event)
        #expect(first != nil)
        #expect(SignalCatcher(event: event) == nil)
        #expect(try first?.catchSignal(SignalCatcher.user2, onlyIfDefault: true) == true)
        first = nil
        let second = try #require(SignalCatcher(event: event))
        // Default again, or this would be false.
        #expect(try second.catchSignal(SignalCatcher.user2, onlyIfDefault: true))
    }
}
