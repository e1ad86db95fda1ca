// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem

/// A network and a kernel in memory: sockets, listeners, accept queues, and a clock that only the test moves.
///
/// Drivers (`SimulatedDrivers`) and clients (`SimulatedPeer`) share one network. It starts no thread and reads no
/// real clock. Everything random in it is drawn from one seed, so equal programs on equal seeds run alike, call by
/// call. Its state lies behind one lock: it may be used from several threads, but then their order is theirs.
///
///     reactor ─ SimulatedDriver ─┐
///     reactor ─ SimulatedDriver ─┼─ SimulatedNetwork ─┬─ SimulatedPeer (a client, in the test's hands)
///                                └────────────────────┴─ SimulatedPeer
///
/// A call costs a lock and an array access; bytes are copied once per hop.
public final class SimulatedNetwork: Sendable {
    /// The sizes of the simulated kernel's buffers and queues.
    public struct Configuration: Sendable, Equatable {
        /// Bytes of a socket's send buffer (SO_SNDBUF), at least 1. Small ones make partial sends frequent.
        public var sendBufferBytes = 64 << 10
        /// Bytes of a socket's receive buffer, the window that its peer sees, at least 1.
        public var receiveBufferBytes = 64 << 10
        /// Connections that a listener's queue may hold at most (net.core.somaxconn), at least 1.
        public var maximumBacklog = 4096

        /// The defaults above.
        public init() {}
    }

    /// The seed that everything random is drawn from.
    public let seed: UInt64
    let state: Guarded<NetworkState>

    /// A network without sockets or faults, 1,000 simulated seconds after its clock's start.
    public init(seed: UInt64 = 0, configuration: Configuration = Configuration()) {
        precondition(
            configuration.sendBufferBytes > 0 && configuration.receiveBufferBytes > 0
                && configuration.maximumBacklog > 0,
            "buffers and queues hold at least one: \(configuration)"
        )
        self.seed = seed
        state = Guarded(NetworkState(seed: seed, configuration: configuration))
    }

    // MARK: Time

    /// The simulated time. Stands still between calls of `advance`.
    public var now: MonotonicInstant { MonotonicInstant(nanoseconds: state.withLock { $0.now }) }

    /// Lets time pass; bytes and resets that arrive within it arrive, each at its own time.
    ///
    /// - Parameter duration: Not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "time does not run backwards: \(duration)")
        advance(to: now.advanced(by: duration))
    }

    /// Lets time pass up to `instant`; an instant that has passed only lets arrive what is due.
    public func advance(to instant: MonotonicInstant) { state.withLock { $0.advance(to: instant.nanoseconds) } }

    /// When the next bytes, end or reset arrive somewhere; nil when nothing is on its way.
    public var nextArrival: MonotonicInstant? {
        state.withLock { $0.deliveries.firstDue }.map { MonotonicInstant(nanoseconds: $0) }
    }

    /// What each reading of the clock by a driver adds to it. Zero, the default, makes time stand still while
    /// a reactor runs; `ReactorConfiguration.idleSpin` needs more than that, or its spin never ends.
    public var clockStep: Duration {
        get { .nanoseconds(Int64(clamping: state.withLock { $0.clockStep })) }
        set {
            precondition(newValue >= .zero, "time does not run backwards: \(newValue)")
            state.withLock { $0.clockStep = UInt64(newValue.clampedNanoseconds) }
        }
    }

    // MARK: Clients

    /// A client that connects to `address`, as soon as a handshake takes.
    ///
    /// Without a listener there the client's `error` becomes ECONNREFUSED. With a full accept queue it waits.
    ///
    /// - Parameters:
    ///   - address: Where to: a numeric address, port not 0.
    ///   - source: Where from; nil for loopback with a port of the network's choice, which port 0 means too.
    ///   - cpu: The CPU that takes its packets, for listeners that steer by it.
    public func connect(to address: SocketAddress, from source: SocketAddress? = nil, cpu: Int = 0) -> SimulatedPeer {
        let id = state.withLock { $0.connect(to: address, from: source, cpu: cpu) }
        return SimulatedPeer(network: self, id: id)
    }

    // MARK: Faults

    /// What goes wrong from now on. Nothing, by default.
    public var faults: FaultPlan {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// How many descriptors may be open before accept fails with EMFILE (RLIMIT_NOFILE); nil for no limit.
    /// Peers need none.
    public var descriptorLimit: Int? {
        get { state.withLock { $0.descriptorLimit } }
        set { state.withLock { $0.descriptorLimit = newValue } }
    }

    /// Has the next accepts at the listeners of `address` fail with `errors`, in their order, one each.
    ///
    /// ECONNABORTED takes the connection out of the queue, every other errno leaves it there. Without a listener
    /// at the address nothing happens.
    public func failNextAccepts(at address: SocketAddress, with errors: [Errno]) {
        state.withLock { state in
            for index in state.listeners.indices where state.listeners[index].address == address {
                state.listeners[index].errors += errors
            }
        }
    }

    /// Has the next registrations (epoll_ctl) fail with `errors`, in their order, one each.
    public func failNextWatches(with errors: [Errno]) { state.withLock { $0.watchErrors += errors } }

    /// Has the next sends fail with `errors`, in their order, one each, as send(2) may without the connection being
    /// broken: ENOBUFS, or EPERM from a packet filter. What was offered is not sent.
    public func failNextSends(with errors: [Errno]) { state.withLock { $0.sendErrors += errors } }

    /// Has the next wait of driver `driver` return `event`, whatever it says: an event that came too late, say.
    public func makeUp(_ event: DriverEvent, at driver: Int) {
        state.withLock { $0.readyLists[driver].append(.madeUp(event)) }
    }

    // MARK: What there is

    /// Descriptors that drivers and their provider have open.
    public var openDescriptorCount: Int { state.withLock { $0.openDescriptorCount } }

    /// Ends of connections that exist, those that the kernel still finishes included: 0 when nothing is left.
    public var socketCount: Int { state.withLock { $0.socketCount } }

    /// Connections that wait to be accepted at the listeners of `address`.
    public func acceptQueueCount(at address: SocketAddress) -> Int {
        state.withLock { state in
            state.listeners.filter { $0.address == address }.reduce(0) { $0 + $1.queue.count + $1.waiting.count }
        }
    }

    /// True while an event waits for the driver.
    func hasEvents(for driver: Int) -> Bool { state.withLock { !$0.readyLists[driver].isEmpty } }
}
