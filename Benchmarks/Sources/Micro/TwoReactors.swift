// SPDX-License-Identifier: Apache-2.0

import Spindle
import Synchronization

/// An engine of two reactors on CPUs 0 and 1, and the figures that one of them arrives at.
final class TwoReactors: Sendable {
    let engine: Engine
    private let figures = Mutex<Figures?>(nil)

    /// - Parameter idleSpin: How long the reactors spin before they sleep.
    init(idleSpin: Duration) throws {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(2)
        configuration.placement.pin = .always
        configuration.limits.idleSpin = idleSpin
        engine = try Engine(configuration)
    }

    /// Ends `measure`. Called once, on a reactor.
    func finish(_ found: Figures) { figures.withLock { $0 = found } }

    /// Starts the engine, runs `body` on reactor `index`, and returns what `finish` is given.
    func measure(on index: Int = 0, _ body: @escaping @Sendable (Reactor) -> Void) async throws -> Figures {
        engine.callWhenRunning { if $0.index == index { body($0) } }
        try await engine.start()
        // Looked at rarely: the looking takes a little time of one of the two CPUs.
        while true {
            try await ContinuousClock().sleep(for: .milliseconds(20))
            guard let found = figures.withLock({ $0 }) else { continue }
            await engine.stop(deadline: .seconds(1))
            return found
        }
    }
}

/// State that one reactor at a time touches, in handlers that the compiler wants to be Sendable; on cache lines of
/// its own, or a count that one core keeps would slow down whatever the other has beside it on the heap.
// Sendable: it goes from one reactor to the other with a message only, which hands over what was written before.
final class HandedAround<Value>: @unchecked Sendable {
    private let memory: UnsafeMutablePointer<Value>

    init(_ value: Value) {
        let raw = UnsafeMutableRawPointer.allocate(byteCount: 256 + MemoryLayout<Value>.size, alignment: 128)
        memory = raw.initializeMemory(as: Value.self, to: value)
    }

    deinit {
        memory.deinitialize(count: 1)
        UnsafeMutableRawPointer(memory).deallocate()
    }

    var value: Value {
        _read { yield memory.pointee }
        _modify { yield &memory.pointee }
    }
}
