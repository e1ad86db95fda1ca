// SPDX-License-Identifier: Apache-2.0

import CSandbox
import SpindleCore
import SpindleSystem
import Testing

/// Each in a process of its own: what a sandbox has refused stays refused.
@Suite struct SandboxTests {
    @Test("without epoll_pwait2, refused as EPERM or ENOSYS, waits still end, rounded up to milliseconds")
    func oldKernel() async {
        await #expect(processExitsWith: .success) {
            try SandboxTests.waitWorks(refusing: Errno.notPermitted.rawValue)
        }
        await #expect(processExitsWith: .success) {
            try SandboxTests.waitWorks(refusing: Errno.notImplemented.rawValue)
        }
    }

    private static func waitWorks(refusing error: Int32) throws {
        try #require(sandbox_refuse(sandbox_epoll_pwait2(), error) == 0)
        let epoll = try Epoll(capacity: 4)
        let start = SystemClock.now()
        try #require(epoll.wait(timeout: 1_500_000) == 0)
        try #require(start.duration(to: SystemClock.now()) >= .microseconds(1500))
        let event = try EventDescriptor()
        try epoll.add(event.rawValue, .incoming, token: 5)
        event.ring()
        try #require(epoll.wait(timeout: 1_000_000_000) == 1)
        try #require(epoll.event(at: 0).token == 5)
    }

    @Test("a refused memory policy is an error to the caller, and a refused mbind costs only nearness")
    func memory() async {
        await #expect(processExitsWith: .success) {
            try #require(sandbox_refuse(sandbox_set_mempolicy(), Errno.notPermitted.rawValue) == 0)
            try #require(sandbox_refuse(sandbox_mbind(), Errno.notPermitted.rawValue) == 0)
            let refusal = #expect(throws: Errno.self) { try MemoryPolicy.prefer(node: 0) }
            // ENOSYS where the kernel has no NUMA at all.
            try #require(refusal == .notPermitted || refusal == .notImplemented)
            let memory = try PageMemory(byteCount: 8192, node: 0)
            unsafe memory.base.storeBytes(of: 7, toByteOffset: 8191, as: UInt8.self)
            try #require(unsafe memory.base.load(fromByteOffset: 8191, as: UInt8.self) == 7)
        }
    }

    @Test("a refused affinity is an error to the caller")
    func affinity() async {
        await #expect(processExitsWith: .success) {
            try #require(sandbox_refuse(sandbox_sched_setaffinity(), Errno.notPermitted.rawValue) == 0)
            let cpus = try SystemThread.affinity()
            let refusal = #expect(throws: Errno.self) { try SystemThread.setAffinity(cpus) }
            try #require(refusal == .notPermitted)
        }
    }
}
