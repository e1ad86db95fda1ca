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

    @Test("an owner is looked up by name and by number, with its groups")
    func owners() throws {
        let root = try ProcessOwner(user: "root", group: nil)
        #expect(root.user == 0 && root.group == 0 && root.supplementaryGroups.contains(0))
        #expect(try ProcessOwner(user: "0", group: nil) == root)
        #expect(try ProcessOwner(user: "root", group: "5").group == 5)
        let nobodys = try ProcessOwner(user: "4294967294", group: "77")
        #expect(nobodys.user == 4_294_967_294 && nobodys.supplementaryGroups == [77])
        #expect(!nobodys.isCurrent)
        #expect(throws: ProcessOwner.Failure.noUser) { try ProcessOwner(user: "nobody-here", group: nil) }
        #expect(throws: ProcessOwner.Failure.noGroup) { try ProcessOwner(user: "root", group: "nobody-here") }
        #expect(throws: ProcessOwner.Failure.groupNeeded) { try ProcessOwner(user: "4294967294", group: nil) }
    }

    @Test("the time of day is written as RFC 3339 has it")
    func wallClock() {
        #expect(WallClock.text(0) == "1970-01-01T00:00:00.000000Z")
        #expect(WallClock.text(1_709_210_096_000_007) == "2024-02-29T12:34:56.000007Z")
        #expect(WallClock.text(WallClock.now()) > "2026-01-01")
    }
}
