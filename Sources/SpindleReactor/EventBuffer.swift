// SPDX-License-Identifier: Apache-2.0

/// The events of one wait: room for a fixed number of them, made once and filled anew by every wait.
@safe public struct EventBuffer: ~Copyable {
    private let storage: UnsafeMutablePointer<DriverEvent>
    /// The most that it holds.
    public let capacity: Int
    /// How many it holds now.
    public private(set) var count = 0

    /// An empty buffer for at least 1 event.
    public init(capacity: Int) {
        precondition(capacity > 0, "a buffer for \(capacity) events")
        unsafe storage = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { unsafe storage.deallocate() }

    /// True when the wait brought nothing.
    public var isEmpty: Bool { count == 0 }

    /// Adds an event behind the others. Traps when there is no room.
    @inline(__always)
    public mutating func append(_ event: DriverEvent) {
        precondition(count < capacity, "more than \(capacity) events of one wait")
        unsafe storage[count] = event
        count += 1
    }

    /// Forgets the events of the wait before.
    public mutating func removeAll() { count = 0 }

    /// The event at `index`, 0 ..< `count`.
    public subscript(index: Int) -> DriverEvent {
        @inline(__always) get {
            precondition(index >= 0 && index < count, "event \(index) of \(count)")
            return unsafe storage[index]
        }
    }
}
