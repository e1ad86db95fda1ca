// SPDX-License-Identifier: Apache-2.0

/// Mistakes for the simulator to find: its tests plant them, one at a time, into a build for debugging. In others they
/// don't exist.
package enum PlantedBug: String, CaseIterable, Sendable {
    /// Mail is shown to its receiver, whose bell does not ring.
    case unrungBell
    /// The bell rings, and whoever sleeps is not woken.
    case unwokenSleeper
    /// Messages beyond a look's budget are forgotten until the bell rings again.
    case forgottenRest
    /// The slots of messages that were taken are never given back.
    case unreleasedSlots
    /// Jobs of other threads run last in, first out.
    case reversedInbox
    /// Urgent mail waits behind the rest.
    case patientUrgency
    /// A drain closes connections without sending what they were given.
    case hastyDrain
    /// A listener closes with connections in its queue.
    case unservedQueue
    /// A listener goes on accepting after it was told to stop.
    case deafListener
    /// Bytes that a protocol left unread do not come along with its connection.
    case lostUnread
    /// Unsent bytes do not come along.
    case lostUnsent
    /// The new protocol of a connection that was handed off is built before the old one has ended.
    case earlyBuild
    /// What one read leaves in the kernel is forgotten.
    case forgottenInput
    /// Room to write again goes unnoticed.
    case unnoticedRoom
    /// Timers fire a tick early.
    case earlyTimer
    /// A protocol is not told that its connection is over.
    case untoldEnd
    /// A descriptor stays open.
    case leakedDescriptor
}

extension Reactor {
    /// True when `bug` is planted, every so many times that it has an occasion.
    @inline(__always)
    func strikes(_ bug: PlantedBug, every count: Int = 5) -> Bool {
        #if DEBUG
            guard plantedBug == bug else { return false }
            plantedOccasions += 1
            return plantedOccasions % count == 0
        #else
            return false
        #endif
    }
}
