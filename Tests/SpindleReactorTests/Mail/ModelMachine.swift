// SPDX-License-Identifier: Apache-2.0

/// One step of a model's thread: what it does to the shared memory.
struct ModelOperation {
    enum Kind {
        case load
        /// Goes to the thread's store buffer; a releasing one leaves it behind all earlier ones.
        case store, storeReleasing
        /// Read-modify-writes: wait for an empty store buffer, then act on memory at once.
        case or, exchange
        /// A system call that makes `sleep` return: as a read-modify-write.
        case wake
        /// Blocks until the location was woken; with `value` 1, may also end on its own (an event, a timer).
        case sleep
    }

    let kind: Kind
    let location: Int
    var value: UInt64 = 0
    /// A location that the step increments besides: for what is checked, never for what is modelled.
    var ghost: Int?
}

/// Stops a program before its next operation: the checker decides who goes on.
struct ModelInterruption: Error {}

/// The thread that a program runs on, again and again from its last mark: recorded results are replayed, and
/// the first operation without one stops it.
final class ModelThread {
    private var results: [UInt64] = []
    private var position = 0
    private(set) var pending: ModelOperation?
    private(set) var failure: String?

    func restart(with results: [UInt64]) {
        self.results = results
        position = 0
        pending = nil
        failure = nil
    }

    func perform(_ operation: ModelOperation) throws(ModelInterruption) -> UInt64 {
        guard position < results.count else {
            pending = operation
            throw ModelInterruption()
        }
        position += 1
        return results[position - 1]
    }

    func load(_ location: Int) throws(ModelInterruption) -> UInt64 {
        try perform(ModelOperation(kind: .load, location: location))
    }

    func store(_ value: UInt64, to location: Int, releasing: Bool = false) throws(ModelInterruption) {
        let kind = releasing ? ModelOperation.Kind.storeReleasing : .store
        _ = try perform(ModelOperation(kind: kind, location: location, value: value))
    }

    /// A claim of the program about what it has read.
    func check(_ holds: Bool, _ message: @autoclosure () -> String) {
        if !holds, failure == nil { failure = message() }
    }
}

/// What a thread does between two marks: gets its locals and returns those to go on with, or nil at its end.
typealias ModelProgram = (ModelThread, [UInt64]) throws(ModelInterruption) -> [UInt64]?

/// How stores reach memory.
enum ModelOrder: CaseIterable {
    /// x86: a buffer per thread, first in, first out.
    case totalStoreOrder
    /// A buffer per thread and location: stores to different locations overtake each other, releasing ones don't.
    case partialStoreOrder
}

/// Everything that decides how a model goes on.
struct ModelState: Hashable {
    struct Store: Hashable {
        let location: Int
        let value: UInt64
        let isReleasing: Bool
    }

    struct Thread: Hashable {
        var locals: [UInt64]
        var results: [UInt64] = []
        /// Stores on their way to memory, oldest first.
        var buffer: [Store] = []
        var isFinished = false
        /// Follows from the rest.
        var pending: ModelOperation?

        static func == (one: Thread, other: Thread) -> Bool {
            one.locals == other.locals && one.results == other.results && one.buffer == other.buffer
                && one.isFinished == other.isFinished
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(locals)
            hasher.combine(results)
            hasher.combine(buffer)
        }
    }

    var memory: [UInt64]
    var threads: [Thread]

    var isFinished: Bool { threads.allSatisfy { $0.isFinished && $0.buffer.isEmpty } }

    /// The places in the buffer of `thread` that may reach memory next.
    func flushable(_ thread: Int, _ order: ModelOrder) -> [Int] {
        let buffer = threads[thread].buffer
        switch order {
        case .totalStoreOrder: return buffer.isEmpty ? [] : [0]
        case .partialStoreOrder:
            return buffer.indices.filter { index in
                let earlier = buffer[..<index]
                return buffer[index].isReleasing
                    ? earlier.isEmpty : !earlier.contains { $0.location == buffer[index].location }
            }
        }
    }

    mutating func flush(_ thread: Int, _ place: Int) {
        let store = threads[thread].buffer.remove(at: place)
        memory[store.location] = store.value
    }

    /// The results that the pending operation of `thread` may have now; none while it has to wait.
    func outcomes(_ thread: Int) -> [UInt64] {
        guard let operation = threads[thread].pending else { return [] }
        let now = memory[operation.location]
        switch operation.kind {
        case .load: return [threads[thread].buffer.last { $0.location == operation.location }?.value ?? now]
        case .store, .storeReleasing: return [0]
        case .or, .exchange, .wake: return threads[thread].buffer.isEmpty ? [now] : []
        case .sleep: return (now != 0 ? [1] : []) + (operation.value != 0 ? [0] : [])
        }
    }

    /// Executes the pending operation of `thread`, which has this outcome.
    mutating func execute(_ thread: Int, outcome: UInt64) {
        guard let operation = threads[thread].pending else { return }
        switch operation.kind {
        case .load: break
        case .store, .storeReleasing:
            let isReleasing = operation.kind == .storeReleasing
            let store = Store(location: operation.location, value: operation.value, isReleasing: isReleasing)
            threads[thread].buffer.append(store)
        case .or: memory[operation.location] |= operation.value
        case .exchange: memory[operation.location] = operation.value
        case .wake: memory[operation.location] = 1
        case .sleep: if outcome == 1 { memory[operation.location] = 0 }
        }
        if let ghost = operation.ghost { memory[ghost] += 1 }
        threads[thread].results.append(outcome)
    }
}
