// SPDX-License-Identifier: Apache-2.0

public import Spindle

/// What takes two threads, so that it can be timed and not counted: two reactors of an engine.
public enum TwoReactors {
    /// A value goes to the other reactor and back, so many times; each of both has a mailbox to the other.
    public static func mailboxTrips(_ count: Int, on engine: Engine) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let back = engine.makeChannel(of: Trip.self) { trip, _ in
                if trip.left == 0 { trip.done() } else { trip.there.send(trip.next, to: 1) }
            }
            let there = engine.makeChannel(of: Trip.self) { trip, _ in back.send(trip, to: 0) }
            let first = Trip(left: count - 1, there: there) { continuation.resume() }
            engine.reactors[0].submit { there.send(first, to: 1) }
        }
    }

    /// A message that knows how often it still goes.
    struct Trip: Sendable {
        let left: Int
        let there: Channel<Trip>
        let done: @Sendable () -> Void
        var next: Trip { Trip(left: left - 1, there: there, done: done) }
    }

    /// A job goes to the other reactor and comes back, so many times.
    public static func submitTrips(_ count: Int, on engine: Engine) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            trip(left: count, engine.reactors[0], engine.reactors[1]) { continuation.resume() }
        }
    }

    private static func trip(left: Int, _ a: ReactorHandle, _ b: ReactorHandle, done: @escaping @Sendable () -> Void) {
        a.submit {
            b.submit {
                a.submit { if left == 1 { done() } else { trip(left: left - 1, a, b, done: done) } }
            }
        }
    }

    /// A task goes to the other reactor and comes back, so many times.
    public static func hops(_ count: Int, on engine: Engine) async {
        let (a, b) = (engine.reactors[0], engine.reactors[1])
        await a.execute { _ in
            for _ in 0..<count { await b.execute { _ in } }
        }
    }

    /// An engine with two reactors that spin for so long before they sleep, on CPUs of their own where there are two.
    public static func engine(idleSpin: Duration) throws -> Engine {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(2)
        configuration.placement.oversubscribe = true
        configuration.placement.pin = .always
        configuration.limits.idleSpin = idleSpin
        return try Engine(configuration)
    }
}
