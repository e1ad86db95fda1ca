// SPDX-License-Identifier: Apache-2.0

/// The limits and budgets of one reactor. Every one says what happens when it is met.
///
/// Users set them through `EngineConfiguration`, which checks ranges; the relations are checked here.
public struct ReactorConfiguration: Sendable, Equatable {
    /// Bytes that one receive asks for at most; one buffer of this size per reactor.
    public var receiveBufferBytes = 64 << 10
    /// Bytes that one connection may read in one turn; the rest waits for the next turn.
    public var readBudgetBytes = 64 << 10
    /// Events that one wait returns at most; the kernel keeps the rest.
    public var eventsPerWait = 64
    /// Connections that one listener accepts in one turn; the rest waits for the next turn.
    public var acceptBudget = 32
    /// Connections that are closed in one turn; the rest waits for the next turn.
    public var closeBudget = 16
    /// Messages of one sender that are handled at one look at its mailbox; the rest waits for the next look.
    public var mailBudget = 256
    /// Events between two looks at the doorbell.
    public var eventsPerMailGlance = 4
    /// Timers that fire in one turn; the rest fires in the next.
    public var timerBudget = 1024
    /// Local jobs that run in one turn, as many of other threads, and as many steps of Swift tasks; the rest runs in
    /// the next.
    public var jobBudget = 1024

    /// Unsent bytes of a connection above which it stops reading.
    public var writeHighWatermarkBytes = 256 << 10
    /// Unsent bytes at or below which it reads again.
    public var writeLowWatermarkBytes = 64 << 10
    /// Unsent bytes of a connection above which it is aborted with `.writeLimitExceeded`.
    public var writeLimitBytes = 16 << 20
    /// Unsent bytes of all connections above which the one with the most is aborted.
    public var reactorWriteLimitBytes = 512 << 20
    /// Reading pauses by itself at the high watermark; false leaves that to the protocol.
    public var pausesReadingAtHighWatermark = true
    /// What a callback writes is gathered up to this many bytes; larger pieces are sent uncopied.
    public var corkBytes = 8 << 10

    /// Bytes of files that one connection may send in one turn; the rest waits for the next turn. Files that are not in
    /// memory are read by the blocking pool in pieces of this size.
    public var fileBudgetBytes = 1 << 20

    /// Chunks of at least so many bytes are sent from where they lie (MSG_ZEROCOPY); `Int.max` sends none so.
    public var zeroCopyBytes = Int.max

    /// Datagrams that one receive asks for at most, and that leave with one send; the kernel keeps the rest.
    public var datagramsPerReceive = 64
    /// Bytes of the longest datagram; the rest of a longer one is cut off. Below 65,535 none come in groups.
    public var largestDatagramBytes = 65_535

    /// Connections that may be open; more are accepted and closed at once.
    public var maximumConnections = Int.max
    /// No bytes in or out for so long calls `idleTimeoutExpired`; nil never does.
    public var idleTimeout: Duration?
    /// `loseConnection` aborts when the peer has not taken what is left after so long.
    public var closeTimeout: Duration = .seconds(30)
    /// A connection is aborted when bytes wait and the peer has taken none of them for so long; nil never is.
    public var writeProgressTimeout: Duration? = .seconds(120)
    /// After a close from this side, input is read and dropped until the peer closes, at most so long.
    public var lingerTimeout: Duration = .seconds(1)

    /// Slots of the mailbox from one reactor to another, a power of two; a full one answers `.full`.
    public var mailboxCapacity = 1024
    /// Slots of the urgent lane from one reactor to another, a power of two; a full one answers `.full`.
    public var urgentCapacity = 64
    /// Jobs from foreign threads that may wait; a full inbox answers `.full`.
    public var inboxCapacity = 1 << 20
    /// Spin so long for events before sleeping; zero sleeps at once.
    public var idleSpin: Duration = .zero
    /// Never sleep.
    public var pollMode = false

    /// The defaults above.
    public init() {}

    func checkInvariants() {
        precondition(receiveBufferBytes > 0 && readBudgetBytes > 0, "a reactor reads at least a byte")
        precondition(eventsPerWait > 0 && acceptBudget > 0 && closeBudget > 0, "budgets are at least 1")
        precondition(fileBudgetBytes > 0, "a reactor sends at least a byte of a file")
        precondition(datagramsPerReceive > 0 && largestDatagramBytes > 0, "a reactor receives at least a datagram")
        precondition(mailBudget > 0 && timerBudget > 0 && jobBudget > 0, "budgets are at least 1")
        precondition(eventsPerMailGlance > 0, "glances are at least an event apart")
        precondition(
            0 <= writeLowWatermarkBytes && writeLowWatermarkBytes < writeHighWatermarkBytes
                && writeHighWatermarkBytes < writeLimitBytes,
            "low \(writeLowWatermarkBytes) < high \(writeHighWatermarkBytes) < limit \(writeLimitBytes) must hold"
        )
        precondition(mailboxCapacity.nonzeroBitCount == 1, "mailbox capacity \(mailboxCapacity) is no power of two")
        precondition(urgentCapacity.nonzeroBitCount == 1, "urgent capacity \(urgentCapacity) is no power of two")
    }
}
