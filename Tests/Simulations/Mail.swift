// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation

/// Numbered messages between all reactors, in both lanes, and numbered jobs from outside: N4.
final class Mail {
    struct Letter: Sendable, BitwiseCopyable {
        let number: Int
        let sender: Int
    }

    /// The numbers of one ordered pair in one lane.
    private struct Pair {
        var sent = 0
        var arrived = 0
        var undelivered = 0
    }

    // Sendable: the channels' handlers have to be; the run has one thread.
    private final class Books: @unchecked Sendable {
        var pairs: [Pair]
        var jobs: [Pair]
        var timersDue = 0
        init(count: Int) {
            pairs = Array(repeating: Pair(), count: 2 * count * count)
            jobs = Array(repeating: Pair(), count: count)
        }
    }

    private let scheduler: SimulatedScheduler
    private let ledger: Ledger
    private let books: Books
    private var channels: [Channel<Letter>] = []
    private let count: Int

    init(_ scheduler: SimulatedScheduler, _ ledger: Ledger) {
        (self.scheduler, self.ledger) = (scheduler, ledger)
        let count = scheduler.reactors.count
        let books = Books(count: count)
        (self.count, self.books) = (count, books)
        for (number, lane) in [MailLane.ordinary, .urgent].enumerated() {
            @Sendable func index(_ sender: Int, _ receiver: Int) -> Int { (number * count + sender) * count + receiver }
            channels.append(
                scheduler.makeChannel(of: Letter.self, lane: lane) { letter, receiver in
                    books.pairs[index(letter.sender, receiver)].undelivered += 1
                } handler: { letter, sender in
                    let receiver = Reactor.current?.index ?? -1
                    ledger.check(
                        sender == letter.sender,
                        "N4",
                        "a message of \(letter.sender) came as one of \(sender)"
                    )
                    let pair = index(letter.sender, receiver)
                    books.pairs[pair].arrived += 1
                    let expected = books.pairs[pair].arrived
                    ledger.check(
                        letter.number == expected,
                        "N4",
                        "\(lane) message \(letter.number) of \(letter.sender) to \(receiver) came as number \(expected)"
                    )
                    ledger.note(letter.sender, receiver, letter.number)
                }
            )
        }
    }

    /// Some messages from one reactor to another, and a look that urgent ones came first.
    func send() {
        let (sender, receiver) = (ledger.random.below(count), ledger.random.below(count))
        let lane = ledger.chance(4) ? 1 : 0
        let pair = (lane * count + sender) * count + receiver
        scheduler.perform(on: sender) { _ in
            for _ in 0..<ledger.number(1...40) {
                let letter = Letter(number: books.pairs[pair].sent + 1, sender: sender)
                guard channels[lane].send(letter, to: receiver) == .sent else { return }
                books.pairs[pair].sent += 1
            }
        }
    }

    /// Urgent mail behind ordinary mail, to a reactor that looks at it only then: it must overtake.
    func race() {
        let (sender, receiver) = (ledger.random.below(count), ledger.random.below(count))
        guard sender != receiver else { return }
        let pairs = [sender * count + receiver, (count + sender) * count + receiver]
        let before = books.pairs[pairs[0]].arrived
        guard books.pairs[pairs[0]].arrived == books.pairs[pairs[0]].sent else { return }
        var hasSent = [false, false]
        scheduler.perform(on: sender) { _ in
            for lane in 0...1 {
                let letter = Letter(number: books.pairs[pairs[lane]].sent + 1, sender: sender)
                guard channels[lane].send(letter, to: receiver) == .sent else { continue }
                books.pairs[pairs[lane]].sent += 1
                hasSent[lane] = true
            }
        }
        guard hasSent == [true, true] else { return }
        // The receiver looks at its mail until the ordinary message has come.
        for _ in 0..<100 where books.pairs[pairs[0]].arrived == before { scheduler.turn(receiver) }
        let urgent = books.pairs[pairs[1]]
        ledger.check(urgent.arrived == urgent.sent, "urgent", "an ordinary message overtook an urgent one")
    }

    /// A numbered job from a thread that is no reactor.
    func submit() {
        let receiver = ledger.random.below(count)
        books.jobs[receiver].sent += 1
        let number = books.jobs[receiver].sent
        let (books, ledger) = (books, ledger)
        let result = scheduler.reactors[receiver].handle.submit {
            books.jobs[receiver].arrived += 1
            let expected = books.jobs[receiver].arrived
            ledger.check(number == expected, "C27", "job \(number) of reactor \(receiver) ran as number \(expected)")
        }
        ledger.check(result == .sent, "C29", "a job was refused: \(result)")
    }

    /// A timer, which must not be early.
    func time() {
        let delay = Duration.microseconds(ledger.number(0...5000))
        let (books, ledger) = (books, ledger)
        scheduler.perform(on: ledger.random.below(count)) { reactor in
            let due = reactor.readClock().advanced(by: delay)
            books.timersDue += 1
            reactor.callLater(delay) {
                books.timersDue -= 1
                ledger.check(reactor.readClock() >= due, "C31", "a timer of \(delay) fired early")
            }
        }
    }

    /// With nothing on its way, every mailbox has room.
    func checkRoom() {
        for sender in 0..<count {
            for receiver in 0..<count where sender != receiver && books.pairs[sender * count + receiver].sent > 0 {
                let pair = sender * count + receiver
                let letter = Letter(number: books.pairs[pair].sent + 1, sender: sender)
                let result = scheduler.perform(on: sender) { _ in channels[0].send(letter, to: receiver) }
                ledger.check(result == .sent, "N4", "\(result), of \(sender) to \(receiver), with nothing on its way")
                if result == .sent { books.pairs[pair].sent += 1 }
            }
        }
    }

    /// With nothing left to happen, everything has arrived.
    func checkArrived() {
        for (index, pair) in books.pairs.enumerated() {
            ledger.check(
                pair.arrived == pair.sent,
                "N4",
                "\(pair.arrived) of \(pair.sent) messages of \(index / count % count) to \(index % count) arrived"
            )
        }
        for (index, jobs) in books.jobs.enumerated() {
            ledger.check(
                jobs.arrived == jobs.sent,
                "C27",
                "\(jobs.arrived) of \(jobs.sent) jobs of reactor \(index) ran"
            )
        }
        ledger.check(books.timersDue == 0, "C31", "\(books.timersDue) timers never fired")
    }

    /// After the end: delivered once, or reported undelivered.
    func checkAccounted() {
        for (index, pair) in books.pairs.enumerated() {
            ledger.check(
                pair.arrived + pair.undelivered == pair.sent,
                "N4",
                "of \(pair.sent) messages of \(index / count % count) to \(index % count) \(pair.arrived) arrived "
                    + "and \(pair.undelivered) were reported undelivered"
            )
        }
    }
}
