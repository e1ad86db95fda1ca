// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    /// How datagrams are received and sent, and what becomes of those that are not.
    @Suite(.serialized) struct DatagramTransfer {
        private func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed) }
        }

        @Test(
            "C55: a turn reads a budget's worth of a socket; the rest comes in later turns",
            arguments: DriverKind.allCases
        )
        func budget(kind: DriverKind) throws {
            try withDatagrams(kind) {
                $0.configuration.readBudgetBytes = 4000
            } _: { bench in
                let proto = try bench.open { $0.usesGroups = false }
                let client = try bench.client()
                client.send(bytes(1000), to: proto.transport.localAddress)
                bench.turn("the first has come") { proto.received.count == 1 }
                for round in 0..<20 { client.send(bytes(1000, round), to: proto.transport.localAddress) }
                var most = 0
                for _ in 0..<40 {
                    let before = proto.received.count
                    bench.bench.turnReactor()
                    most = max(most, proto.received.count - before)
                }
                #expect(most == 4, "as many as the last ones let expect: \(most)")
                #expect(proto.received.count == 21)
                #expect(bench.bench.counter(.readBudgetExhausted) >= 4)
            }
        }

        @Test("answers have at most so many times the bytes of what they answer", arguments: DriverKind.allCases)
        func replyLimit(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                var outcomes: [DatagramOutcome] = []
                let script: TestDatagrams.Script = { [self] proto, callback, _ in
                    guard case .received = callback else { return }
                    for count in [20, 11, 10, 1, 0] { outcomes.append(proto.transport.reply(bytes(count))) }
                }
                let proto = try bench.open(on: .loopback(port: 0), { $0.usesGroups = false }, script)
                let client = try bench.client()
                client.send(bytes(10), to: proto.transport.localAddress)
                bench.turn("it has come") { proto.received.count == 1 }
                #expect(
                    outcomes == [
                        .queued, .dropped(.overReplyLimit), .queued, .dropped(.overReplyLimit), .queued,
                    ]
                )
                #expect(client.receiveAll().map(\.bytes.count) == [20, 10, 0])
                #expect(bench.bench.counter(.datagramsRefused) == 2)
                #expect(proto.transport.reply("nobody has asked") == .dropped(.noPeer))
                outcomes = []
                let generous = try bench.open(
                    on: .loopback(port: 0),
                    {
                        $0.replyLimit = nil
                        $0.usesGroups = false
                    },
                    script
                )
                client.send([], to: generous.transport.localAddress)
                bench.turn("it has come") { outcomes.count == 5 }
                #expect(outcomes.allSatisfy { $0 == .queued })
                #expect(client.receiveAll().map(\.bytes.count) == [20, 11, 10, 1, 0])
            }
        }

        @Test(
            "datagrams of one size come as a run to who takes runs, one by one to others",
            arguments: DriverKind.allCases
        )
        func runs(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let sender = try bench.open { _ in
                } _: { _, _, _ in
                }
                let sent = (0..<40).map { bytes(100, $0) } + [bytes(30)]
                for takesRuns in [true, false] {
                    let proto = try bench.open(takesRuns: takesRuns)
                    let before = sender.received.count
                    let all = sent.flatMap { $0 }
                    let outcome = sender.transport.send(
                        all.span,
                        each: 100,
                        to: proto.transport.localAddress,
                        options: DatagramSendOptions()
                    )
                    #expect(outcome == .queued)
                    bench.turn("the answers have come") { sender.received.count == before + 41 }
                    #expect(Array(sender.received[before...]) == sent)
                    if let proto = proto as? TestRuns {
                        let total = proto.runs.reduce(0) { $0 + $1.byteCount }
                        let isRun = proto.runs.allSatisfy { $0.segmentBytes == 100 }
                        #expect(isRun && proto.runs.count < 4 && total >= 4000)
                    } else {
                        #expect(proto.received == sent)
                    }
                }
                #expect(bench.bench.counter(.datagramsReceived) == 4 * 41)
                #expect(bench.bench.counter(.datagramsSent) == 4 * 41)
            }
        }

        @Test("more than one batch has room for leaves in several, in order", arguments: DriverKind.allCases)
        func severalBatches(kind: DriverKind) throws {
            try withDatagrams(kind) {
                $0.configuration.datagramsPerReceive = 3
            } _: { bench in
                let proto = try bench.open()
                let client = try bench.client()
                let sent = (1...20).map { bytes($0 * 10) }
                for one in sent { proto.transport.send(one, to: client.address) }
                bench.bench.turn()
                #expect(client.receiveAll().map(\.bytes) == sent && bench.bench.counter(.sends) == 7)
                // Three of these are more bytes than a batch has, and a run that comes behind others.
                for _ in 0..<3 { proto.transport.send(bytes(65_507), to: client.address) }
                let run = (0..<10).flatMap { bytes(6000, $0) }
                for _ in 0..<2 {
                    proto.transport.send(run.span, each: 6000, to: client.address, options: DatagramSendOptions())
                }
                bench.bench.turn()
                let counter = bench.bench.counter
                #expect(counter(.datagramsSent) == 43 && counter(.datagramsUnsent) == 0 && counter(.sends) == 9)
            }
        }

        @Test("what can't leave is refused with the reason, and counted", arguments: DriverKind.allCases)
        func refused(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open()
                let client = try bench.client()
                #expect(proto.transport.send(bytes(65_508), to: client.address) == .dropped(.tooLong))
                #expect(proto.transport.send("to six", to: .loopback6(port: 9)) == .dropped(.wrongFamily))
                #expect(proto.transport.send("to nobody") == .dropped(.noPeer))
                #expect(bench.bench.counter(.datagramsRefused) == 3)
                #expect(proto.transport.send(bytes(65_507), to: client.address) == .queued)
                bench.bench.turn()
                #expect(client.receiveAll().map(\.bytes) == [bytes(65_507)])
            }
        }

        @Test(
            "what several sockets send outside of their callbacks leaves in the turn, each its own",
            arguments: DriverKind.allCases
        )
        func outside(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let (one, other) = (try bench.open(), try bench.open())
                let client = try bench.client()
                for round in 0..<3 {
                    one.transport.send("one \(round)", to: client.address)
                    other.transport.send("other \(round)", to: client.address)
                }
                bench.bench.turn(times: 1)
                let came = client.receiveAll()
                #expect(came.filter { $0.from == one.transport.localAddress }.count == 3)
                #expect(came.filter { $0.from == other.transport.localAddress }.count == 3)
            }
        }

        @Test("what the kernel does not take is dropped and counted; the others leave")
        func unsent() throws {
            try withDatagrams(.simulated) { bench in
                let proto = try bench.open { $0.usesGroups = false }
                let (client, network) = (try bench.client(), bench.bench.network!)
                network.failNextSends(with: [.noBufferSpace])
                for text in ["one", "two", "three"] { proto.transport.send(text, to: client.address) }
                bench.bench.turn()
                #expect(client.texts == ["two", "three"])
                #expect(bench.bench.counter(.datagramsUnsent) == 1 && bench.bench.counter(.datagramsSent) == 2)
                network.faults.fullWrites = 1
                for text in ["one", "two", "three"] { proto.transport.send(text, to: client.address) }
                bench.bench.turn()
                network.faults = .none
                #expect(client.texts.isEmpty && bench.bench.counter(.datagramsUnsent) == 4)
            }
        }

        @Test("a message that its path does not take as segments is sent apart, and so are later ones of that size")
        func apart() throws {
            try withDatagrams(.simulated) { bench in
                let proto = try bench.open()
                let (client, network) = (try bench.client(), bench.bench.network!)
                let before = bench.bench.counter(.sends)
                for errno in [Errno.invalidArgument, .inputOutput] {
                    network.failNextSends(with: [errno])
                    for round in 0..<3 { proto.transport.send(bytes(100, round), to: client.address) }
                    bench.bench.turn()
                    // By the second time they are three messages, of which the first is lost.
                    let lost = errno == .invalidArgument ? 0 : 1
                    #expect(client.receiveAll().map(\.bytes) == (lost..<3).map { bytes(100, $0) })
                    #expect(bench.bench.counter(.datagramsUnsent) == UInt64(lost))
                    if errno == .invalidArgument {
                        for round in 0..<3 { proto.transport.send(bytes(100, round), to: client.address) }
                        bench.bench.turn()
                        #expect(client.receiveAll().count == 3)
                        #expect(bench.bench.counter(.sends) - before == 3, "a message, its segments, three messages")
                    }
                }
            }
        }

        @Test("nothing is lost that is not counted: what found no room in the kernel", arguments: DriverKind.allCases)
        func overrun(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open {
                    $0.usesGroups = false
                    $0.settings = [SocketSetting(.receiveBuffer, 4096)!]
                }
                let client = try bench.client()
                for round in 0..<200 { client.send(bytes(1000, round), to: proto.transport.localAddress) }
                bench.turn("some have come") { !proto.received.isEmpty }
                bench.bench.turn()
                client.send(bytes(1), to: proto.transport.localAddress)
                bench.turn("the last has come") { proto.received.last?.count == 1 }
                let (came, lost) = (proto.received.count, bench.bench.counter(.datagramsOverrun))
                #expect(came < 201 && UInt64(came) + lost == 201, "\(came) came, \(lost) were lost")
                proto.transport.pauseReading()
                for round in 0..<100 { client.send(bytes(1000, round), to: proto.transport.localAddress) }
                proto.transport.close()
                #expect(bench.bench.counter(.datagramsOverrun) > lost, "those at the end, too")
            }
        }

        @Test("one that is longer than the largest is cut, said to be, and counted", arguments: DriverKind.allCases)
        func truncated(kind: DriverKind) throws {
            try withDatagrams(kind) {
                $0.configuration.largestDatagramBytes = 100
            } _: { bench in
                let proto = try bench.open()
                let client = try bench.client()
                for count in [100, 101, 99] { client.send(bytes(count), to: proto.transport.localAddress) }
                bench.turn("all have come") { proto.received.count == 3 }
                #expect(proto.received == [bytes(100), bytes(100), bytes(99)])
                #expect(proto.origins.map(\.isTruncated) == [false, true, false])
                #expect(bench.bench.counter(.datagramsTruncated) == 1)
                let sender = try bench.open { _ in
                } _: { _, _, _ in
                }
                let run = (0..<10).flatMap { bytes(80, $0) }
                let (peer, path) = (proto.transport.localAddress, DatagramSendOptions())
                #expect(sender.transport.send(run.span, each: 80, to: peer, options: path) == .queued)
                bench.turn("a group comes one by one") { proto.received.count == 13 }
                #expect(proto.received[3...].allSatisfy { $0.count == 80 })
            }
        }
    }
}
