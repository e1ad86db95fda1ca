// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
public import SpindleSimulation

/// One connection for the unit test of a protocol or a handler: the test is the peer, and the time.
///
/// No socket, no thread, no waiting: the engine's own reactor runs on a simulated kernel, turn by turn, inside the
/// calls of the test. So what a test sees of order, corking, watermarks and closing is what a program will see. After
/// each call nothing is left to happen but what time or the peer would bring.
///
///     let test = ScriptedConnection { Greeter($0) }
///     test.feed("Ada\n", cut: .every(1))
///     #expect(test.takeText() == "Hello, Ada!\n")
///
/// Used on one thread, whichever that is. An `async` handler must wait for its connection and its reactor only: what
/// another thread resumes goes on when the test calls next.
public final class ScriptedConnection {
    /// The reactor that the protocol lives on: its timers, `now`, counters.
    public var reactor: Reactor { scheduler.reactors[0] }
    /// The other end, for what has no shorter name here.
    public let peer: SimulatedPeer
    private let scheduler: SimulatedScheduler
    private let watch: Watch

    /// A connection that stands: `connectionMade` was called.
    ///
    /// - Parameters:
    ///   - configuration: The limits of the reactor: watermarks, timeouts.
    ///   - log: Where the reactor's log goes.
    ///   - build: Makes the protocol; nil refuses the connection.
    public init(
        _ configuration: ReactorConfiguration = ReactorConfiguration(),
        log: any LogSink = SilentLog(),
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?
    ) {
        let network = SimulatedNetwork()
        let watch = Watch()
        scheduler = SimulatedScheduler(reactorCount: 1, network: network, configuration: configuration, log: log)
        self.watch = watch
        let address = SocketAddress.loopback(port: 1)
        do throws(Errno) {
            try scheduler.listen(at: address) { _ in
                ClosureFactory { transport in
                    watch.transport = transport
                    guard let proto = try build(transport) else { return nil }
                    watch.proto = proto
                    return proto
                }
            }
        } catch { preconditionFailure("a network of one's own refused an address: \(error)") }
        peer = network.connect(to: address)
        settle()
    }

    /// A connection that a handler serves: it has come to where it first waits.
    public convenience init(
        _ configuration: ReactorConfiguration = ReactorConfiguration(),
        log: any LogSink = SilentLog(),
        serving handler: @escaping StreamConnection.Handler
    ) {
        self.init(configuration, log: log) { HandlerProtocol($0, handler) }
    }

    deinit {
        scheduler.endAllConnections()
        scheduler.stopListening()
        scheduler.run(maximumTurns: ScriptedConnection.turnsPerCall)
        // The connection knows its reactor, which knows the factory, which knows these.
        (watch.transport, watch.proto) = (nil, nil)
    }

    /// What the build gave: the object under test. Nil when it refused or threw.
    public var proto: (any StreamProtocol)? { watch.proto }
    /// The protocol's transport.
    public var transport: (any StreamTransport)? { watch.transport }

    // MARK: What the peer does

    /// Sends bytes to the protocol, each piece by itself: `dataReceived` sees the cuts.
    public func feed(_ bytes: [UInt8], cut: Cut = .whole) {
        for piece in cut.pieces(of: bytes) {
            peer.send(piece)
            settle()
        }
    }

    /// Sends the text as UTF-8.
    public func feed(_ text: String, cut: Cut = .whole) { feed(Array(text.utf8), cut: cut) }

    /// Says that it sends no more, and goes on reading: the protocol gets `readConnectionLost`.
    public func halfClose() {
        peer.shutdownWrites()
        settle()
    }

    /// Closes its socket: with unread bytes that is a reset.
    public func close() {
        peer.close()
        settle()
    }

    /// Resets the connection, as a crash or a cut network does: the protocol's reason is `.lost`.
    public func lose() {
        peer.reset()
        settle()
    }

    /// Takes no more bytes than `byteCount` before the test takes them: the protocol's output backs up. 0 refuses to
    /// read.
    public func setWindow(byteCount: Int) {
        peer.setWindow(byteCount: byteCount)
        settle()
    }

    // MARK: What the protocol did

    /// What it has written and nobody has taken yet; now it is taken.
    public func take() -> [UInt8] {
        var bytes = peer.receive()
        settle()
        // Taking made room, and what waited for it has come.
        while true {
            let more = peer.receive()
            if more.isEmpty { return bytes }
            bytes += more
            settle()
        }
    }

    /// The same as text; bytes that are no UTF-8 become replacement characters.
    public func takeText() -> String { String(decoding: take(), as: UTF8.self) }

    /// True when the protocol's side has ended its output and all of it was taken: the peer sees the end.
    public var isAtEnd: Bool { peer.isAtEnd }
    /// ECONNRESET and the like, when the connection broke; nil while it has not.
    public var error: Errno? { peer.error }
    /// Fed and not yet read, because the protocol paused, or its output backs up.
    public var unreadByteCount: Int { reactor.connectionCount == 0 ? 0 : peer.unreadByOtherCount }
    /// True once the protocol's side has let go of the connection.
    public var isClosed: Bool { reactor.connectionCount == 0 }

    // MARK: Time

    /// Lets time pass, with all that it brings: timers, timeouts, each at its own time.
    ///
    /// - Parameter duration: Not negative.
    public func advance(by duration: Duration) {
        let end = scheduler.network.now.advanced(by: duration)
        scheduler.run(maximumTurns: ScriptedConnection.turnsPerCall, noLaterThan: end)
        scheduler.network.advance(to: max(end, scheduler.network.now))
        settle()
    }

    /// Runs `body` as a callback of the reactor's runs: for calls that belong on its thread.
    public func perform<Result>(_ body: (Reactor) throws -> Result) rethrows -> Result {
        defer { settle() }
        return try scheduler.perform(on: 0, body)
    }

    /// Turns until nothing is left to happen at this time.
    private func settle() {
        let outcome = scheduler.run(
            maximumTurns: ScriptedConnection.turnsPerCall,
            noLaterThan: scheduler.network.now
        )
        precondition(
            outcome != .outOfTurns,
            "\(ScriptedConnection.turnsPerCall) turns, and there is more to do: does the protocol call itself for ever?"
        )
    }

    /// Turns that one call may take.
    private static let turnsPerCall = 1_000_000

    private final class Watch {
        var transport: (any StreamTransport)?
        var proto: (any StreamProtocol)?
    }
}
