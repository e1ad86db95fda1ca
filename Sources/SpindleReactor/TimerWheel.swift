// SPDX-License-Identifier: Apache-2.0

/// Timers by due tick: schedule, cancel and reschedule in constant time, first come first served among equals.
///
/// Eight wheels of 64 slots; a slot of wheel n spans 64^n ticks. A timer sits in the lowest wheel whose current
/// turn contains its tick, and moves down (keeping its order) when time enters its slot. Whatever was scheduled
/// earlier for a tick is moved into a slot before anything later can be put there, so lists in order of calls
/// stay so. Eight wheels reach 2^48 ticks, which is all that 64 bits of nanoseconds can name: nothing lies beyond.
///
///     wheel 0  [64 × 1 tick]  ◀─ wheel 1  [64 × 64 ticks]  ◀─ … ◀─ wheel 7
///
/// Pure: no clock inside; ticks come from the caller. After Varghese and Lauck, "Hashed and Hierarchical Timing
/// Wheels" (1987).
struct TimerWheel<Payload> {
    /// Names one scheduling; stale after the timer fired or was cancelled.
    struct ID: Equatable, Sendable {
        fileprivate let index: Int32
        fileprivate let generation: UInt32
        static var none: ID { ID(index: -1, generation: 0) }
    }

    private struct Node {
        var due: UInt64
        var next: Int32
        var previous: Int32
        var generation: UInt32
        /// The list it is on: wheel × 64 + slot, `expired`, `arrived`, or -1 when free.
        var list: Int32
        var payload: Payload?
    }

    private static var wheelCount: Int { 8 }
    /// The last tick there is; what is due later is due then, in 584 years.
    static var lastTick: UInt64 { 1 << 48 - 1 }
    /// The list of timers that may be taken now, and of those that will be after the next `advance`.
    private static var expired: Int { wheelCount * 64 }
    private static var arrived: Int { wheelCount * 64 + 1 }

    private var nodes: ContiguousArray<Node> = []
    private var firstFree: Int32 = -1
    private var heads: ContiguousArray<Int32>
    private var tails: ContiguousArray<Int32>
    /// A bit per slot that has timers, a word per wheel.
    private var occupied: ContiguousArray<UInt64>
    /// Everything due at or before this tick has been moved to the list of expired timers.
    private(set) var currentTick: UInt64
    /// Timers that are scheduled or expired and not yet taken.
    private(set) var count = 0

    init(currentTick: UInt64 = 0) {
        self.currentTick = currentTick
        heads = ContiguousArray(repeating: -1, count: Self.wheelCount * 64 + 2)
        tails = heads
        occupied = ContiguousArray(repeating: 0, count: Self.wheelCount)
    }

    /// Adds a timer; a tick that has passed already makes it expire at the next `advance`, behind all others.
    mutating func schedule(at due: UInt64, _ payload: Payload) -> ID {
        let due = min(due, Self.lastTick)
        let index: Int32
        if firstFree >= 0 {
            index = firstFree
            firstFree = nodes[Int(index)].next
            nodes[Int(index)].due = due
            nodes[Int(index)].payload = payload
        } else {
            index = Int32(nodes.count)
            nodes.append(Node(due: due, next: -1, previous: -1, generation: 0, list: -1, payload: payload))
        }
        count += 1
        link(index, due)
        return ID(index: index, generation: nodes[Int(index)].generation)
    }

    /// True when the timer has neither fired nor been cancelled.
    func isActive(_ id: ID) -> Bool {
        id.index >= 0 && Int(id.index) < nodes.count && nodes[Int(id.index)].generation == id.generation
            && nodes[Int(id.index)].list >= 0
    }

    /// The tick that the timer is due at, or nil when it is not active.
    func due(_ id: ID) -> UInt64? { isActive(id) ? nodes[Int(id.index)].due : nil }

    /// Takes the timer out; nil when it is not active.
    mutating func cancel(_ id: ID) -> Payload? {
        guard isActive(id) else { return nil }
        unlink(id.index)
        return release(id.index)
    }

    /// Moves the timer to another tick, behind those that are there; false when it is not active.
    mutating func reschedule(_ id: ID, at due: UInt64) -> Bool {
        guard isActive(id) else { return false }
        let due = min(due, Self.lastTick)
        unlink(id.index)
        nodes[Int(id.index)].due = due
        link(id.index, due)
        return true
    }

    /// Lets time pass up to `tick`; what is due by then can be taken with `popExpired`.
    mutating func advance(to tick: UInt64) {
        if tick <= currentTick, heads[Self.arrived] < 0 { return }
        if count == 0 {
            currentTick = max(currentTick, tick)
            return
        }
        while let (wheel, start) = nextOccupiedSlot(), start <= tick {
            let slot = Int(start >> UInt64(wheel * 6)) & 63
            currentTick = max(currentTick, start)
            occupied[wheel] &= ~(1 << UInt64(slot))
            relink(list: wheel * 64 + slot, dueList: Self.expired)
        }
        currentTick = max(currentTick, tick)
        relink(list: Self.arrived, dueList: Self.expired)
    }

    /// The expired timer that comes first: by due tick, then by order of scheduling.
    mutating func popExpired() -> Payload? {
        let index = heads[Self.expired]
        guard index >= 0 else { return nil }
        unlink(index)
        return release(index)
    }

    var hasExpired: Bool { heads[Self.expired] >= 0 }

    /// A tick by which `advance` has something to do, never later than the first due tick; nil without timers.
    var nextTick: UInt64? {
        if count == 0 { return nil }
        if hasExpired || heads[Self.arrived] >= 0 { return currentTick }
        return nextOccupiedSlot()?.start
    }

    /// The occupied slot that time enters first: its wheel and its first tick.
    private func nextOccupiedSlot() -> (wheel: Int, start: UInt64)? {
        for wheel in 0..<Self.wheelCount where occupied[wheel] != 0 {
            let shift = UInt64(wheel * 6)
            let turn = (currentTick >> (shift + 6)) << 6
            return (wheel, (turn + UInt64(occupied[wheel].trailingZeroBitCount)) << shift)
        }
        return nil
    }

    /// Puts the timers of a list where they belong now, in their order.
    private mutating func relink(list: Int, dueList: Int) {
        var index = heads[list]
        heads[list] = -1
        tails[list] = -1
        while index >= 0 {
            let next = nodes[Int(index)].next
            link(index, nodes[Int(index)].due, dueList: dueList)
            index = next
        }
    }

    private mutating func link(_ index: Int32, _ due: UInt64, dueList: Int = Self.arrived) {
        let list: Int
        if due <= currentTick {
            list = dueList
        } else {
            // The highest bit in which they differ tells the wheel whose present turn contains the tick.
            let wheel = (63 - (due ^ currentTick).leadingZeroBitCount) / 6
            list = wheel * 64 + Int(due >> UInt64(wheel * 6)) & 63
            occupied[list / 64] |= 1 << UInt64(list & 63)
        }
        let last = tails[list]
        nodes[Int(index)].list = Int32(list)
        nodes[Int(index)].previous = last
        nodes[Int(index)].next = -1
        if last >= 0 { nodes[Int(last)].next = index } else { heads[list] = index }
        tails[list] = index
    }

    private mutating func unlink(_ index: Int32) {
        let (list, previous, next) = (Int(nodes[Int(index)].list), nodes[Int(index)].previous, nodes[Int(index)].next)
        if previous >= 0 { nodes[Int(previous)].next = next } else { heads[list] = next }
        if next >= 0 { nodes[Int(next)].previous = previous } else { tails[list] = previous }
        if heads[list] < 0, list < Self.expired { occupied[list / 64] &= ~(1 << UInt64(list & 63)) }
    }

    /// Takes out everything that is scheduled, in no order.
    mutating func takeAll() -> [Payload] {
        let all = nodes.compactMap(\.payload)
        self = TimerWheel(currentTick: currentTick)
        return all
    }

    private mutating func release(_ index: Int32) -> Payload? {
        let payload = nodes[Int(index)].payload.take()
        nodes[Int(index)].generation &+= 1
        nodes[Int(index)].list = -1
        nodes[Int(index)].next = firstFree
        firstFree = index
        count -= 1
        return payload
    }
}
