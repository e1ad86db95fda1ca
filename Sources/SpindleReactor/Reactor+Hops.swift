// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// Tasks that go from one reactor to another: by the mailbox between the two, in order, never refused.
///
/// What does not fit waits in a list of the sender's, and goes before what comes after it.
extension Reactor {
    /// Adds a task that can go on to the reactor with this handle, when the calling thread is one of the same engine.
    static func append(_ task: UnownedJob, to handle: ReactorHandle) -> Bool {
        guard let pointer = unsafe SystemThread.local else { return false }
        // The mark is set by the reactor itself and taken back before it goes. Not counted as a reference.
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            if reactor.handle === handle {
                reactor.tasks.append(task)
                return true
            }
            guard reactor.mailroom.has(handle), !handle.isStopped else { return false }
            reactor.send(task, to: handle)
            return true
        }
    }

    private func send(_ task: UnownedJob, to handle: ReactorHandle) {
        let waits = handle.index < hopsThatWait.count && !hopsThatWait[handle.index].isEmpty
        if !waits, mailroom.hops.send(task, to: handle.index) == .sent { return }
        while hopsThatWait.count <= handle.index { hopsThatWait.append(JobQueue()) }
        hopsThatWait[handle.index].append(task)
        counters.add(.hopsThatWaited)
        lookForRoomLater()
    }

    /// At the next tick.
    private func lookForRoomLater() {
        guard !looksForRoom else { return }
        looksForRoom = true
        _ = wheel.schedule(at: tick(after: .microseconds(1)), .hops)
    }

    /// Sends what waited for room, and looks again a tick later for what still does.
    func sendHopsThatWait() {
        looksForRoom = false
        for index in hopsThatWait.indices where !hopsThatWait[index].isEmpty {
            let handle = mailroom.handles[index]
            while let task = hopsThatWait[index].first {
                if handle.isStopped {
                    handle.lateTasks.enqueue(task, of: handle)
                } else if mailroom.hops.send(task, to: index) != .sent {
                    break
                }
                _ = hopsThatWait[index].popFirst()
            }
            if !hopsThatWait[index].isEmpty { lookForRoomLater() }
        }
    }

    /// The reactor goes: who waits for room goes on elsewhere.
    func giveUpHops() {
        for index in hopsThatWait.indices {
            let handle = mailroom.handles[index]
            while let task = hopsThatWait[index].popFirst() { handle.lateTasks.enqueue(task, of: handle) }
        }
    }
}
