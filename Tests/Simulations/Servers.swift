// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation

/// What each connection begins with: who was accepted gets it, whatever comes next.
let greeting = Array("hello:".utf8)

/// Makes echoes, and looks that it does so on its own reactor only.
final class EchoFactory: StreamProtocolFactory {
    private let ledger: Ledger
    private let home: Int
    private var isStarted = false

    init(_ ledger: Ledger, _ home: Int) { (self.ledger, self.home) = (ledger, home) }

    func startFactory() {
        ledger.check(!isStarted, "N2", "startFactory twice on reactor \(home)")
        isStarted = true
    }

    func buildProtocol(for transport: any StreamTransport) -> (any StreamProtocol)? {
        ledger.check(Reactor.current?.index == home, "N2", "buildProtocol of reactor \(home)'s factory elsewhere")
        ledger.check(isStarted, "N2", "buildProtocol before startFactory")
        ledger.check(!ledger.isStopping, "N3", "a connection was accepted after every reactor had stopped accepting")
        return WanderingEcho(transport, ledger, isFirst: true)
    }
}

/// Echoes in callbacks, and every now and then goes on on another reactor, with a part of what it was given unread.
final class WanderingEcho: StreamProtocol {
    let transport: any StreamTransport
    private let ledger: Ledger
    private let home: Int
    private let isFirst: Bool
    private let name: String
    private var isOver = false
    private var hasLeft = false

    init(_ transport: any StreamTransport, _ ledger: Ledger, isFirst: Bool) {
        (self.transport, self.ledger, self.isFirst) = (transport, ledger, isFirst)
        home = Reactor.current?.index ?? -1
        name = ledger.begun("an echo for \(transport.peerAddress)")
    }

    private func look(_ callback: String) {
        ledger.check(Reactor.current?.index == home, "N1", "\(callback) of a protocol of reactor \(home) elsewhere")
        ledger.check(!isOver, "N1", "\(callback) after connectionLost")
    }

    private func write(_ bytes: Span<UInt8>) {
        guard transport.isWritable else { return }
        ledger.written[transport.peerAddress, default: 0] += bytes.count
        transport.write(bytes)
    }

    func connectionMade() {
        look("connectionMade")
        if isFirst { write(greeting.span) }
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        look("dataReceived")
        ledger.check(!hasLeft, "N1", "dataReceived after the hand-off")
        ledger.note(home, bytes.count)
        let leaves = ledger.chance(6) && !ledger.isStopping
        let now = leaves ? ledger.random.below(bytes.count + 1) : bytes.count
        write(bytes.extracting(first: now))
        guard leaves else { return }
        let rest = ByteChunk(copying: bytes.extracting(droppingFirst: now))
        let target = ledger.handles[ledger.random.below(ledger.handles.count)]
        hasLeft = transport.handOff(to: target, unread: rest) { [ledger, self] in
            ledger.check(isOver, "N1", "the new protocol was built before the old one's connectionLost")
            ledger.check(Reactor.current?.handle === target, "N1", "the new protocol was built elsewhere")
            return WanderingEcho($0, ledger, isFirst: false)
        }
        if !hasLeft { write(rest.bytes) }
    }

    func readConnectionLost() {
        look("readConnectionLost")
        transport.loseConnection()
    }

    func connectionLost(_ reason: DisconnectReason) {
        look("connectionLost")
        isOver = true
        ledger.ended(name)
        guard hasLeft else { return }
        if case .handedOff = reason { return }
        ledger.check(false, "N1", "handed off, and told \(reason)")
    }
}

// Sendable: the closure that builds its successor looks at it after its end; the run has one thread.
extension WanderingEcho: @unchecked Sendable {}

/// The same as tasks.
enum EchoHandler {
    static func make(_ ledger: Ledger, isFirst: Bool) -> StreamConnection.Handler {
        { connection in
            let home = connection.reactor
            let name = ledger.begun("a handler for \(connection.peerAddress) on reactor \(home.index)")
            defer { ledger.ended(name) }
            func look() {
                ledger.check(Reactor.current?.handle === home, "N1", "a handler of reactor \(home.index) elsewhere")
            }
            func write(_ bytes: Span<UInt8>) {
                guard connection.isWritable else { return }
                ledger.written[connection.peerAddress, default: 0] += bytes.count
                connection.write(bytes)
            }
            look()
            if isFirst { write(greeting.span) }
            while true {
                let leaves = ledger.chance(6) && !ledger.isStopping
                let rest: ByteChunk? = try await connection.read { bytes in
                    ledger.note(home.index, bytes.count)
                    let now = leaves ? ledger.random.below(bytes.count + 1) : bytes.count
                    write(bytes.extracting(first: now))
                    return ByteChunk(copying: bytes.extracting(droppingFirst: now))
                }
                look()
                guard let rest else { return }
                if leaves {
                    let target = ledger.handles[ledger.random.below(ledger.handles.count)]
                    let hasLeft = connection.handOff(to: target, unread: rest, make(ledger, isFirst: false))
                    if hasLeft { return }
                    write(rest.bytes)
                }
                switch ledger.random.below(6) {
                case 0: await connection.yield()
                // tidy: allow banned: simulated time
                case 1: try await connection.sleep(for: .microseconds(ledger.number(1...2000)))
                default: break
                }
                look()
            }
        }
    }
}
