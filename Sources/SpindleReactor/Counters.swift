// SPDX-License-Identifier: Apache-2.0

package import SpindleCore

/// What a reactor counts. The names are those of the snapshot, of `--stats` and of the metrics to come.
public enum Counter: Int, CaseIterable, Sendable {
    /// Turns of the loop.
    case turns
    /// Waits of the driver.
    case waits
    /// Waits that could sleep: with a timeout other than 0.
    case sleeps
    /// Events that the driver delivered.
    case events
    /// Events of registrations that were gone: expected, but a rising rate is worth a look.
    case staleEvents
    /// Calls that asked for bytes.
    case receives
    /// Calls that offered bytes.
    case sends
    /// Chunks that the kernel was to send from where they lie; of those it has copied some after all.
    case zeroCopySends
    /// Those that it has copied: when it is nearly all of them, `--zero-copy` costs more than it saves.
    case zeroCopyCopied
    /// Bytes received.
    case bytesReceived
    /// Bytes that the kernel took.
    case bytesSent
    /// `dataReceived` calls, and datagrams received.
    case messages
    /// Datagrams received.
    case datagramsReceived
    /// Datagrams that the kernel took.
    case datagramsSent
    /// Datagrams that found no room in the kernel's receive buffer: `SO_RCVBUF`, net.core.rmem_max.
    case datagramsOverrun
    /// Datagrams that the kernel did not take: its send buffer was full, or there was no way to the peer.
    case datagramsUnsent
    /// Datagrams that were not to be sent: over the reply limit, too long, or to nobody.
    case datagramsRefused
    /// Datagrams that had come when their socket was closed.
    case datagramsUntold
    /// Datagrams that were longer than `largestDatagramBytes`: their ends are lost.
    case datagramsTruncated
    /// Calls that asked for a connection.
    case acceptCalls
    /// Connections accepted.
    case accepted
    /// Connections established by this side.
    case connected
    /// Connections that the factory refused, or that were over a limit.
    case refused
    /// Connections closed for want of descriptors.
    case shed
    /// Connections handed to a less loaded reactor before their protocol was built.
    case handedOver
    /// Live connections given to another reactor, where a new protocol went on with them.
    case handedOff
    /// Connections whose descriptor was closed.
    case closed
    /// Connections open now, lingering ones included.
    case openConnections
    /// Protocol objects alive now.
    case liveProtocols
    /// Connections that ended because a callback threw.
    case failedCallbacks
    /// Writes dropped because the connection was ending.
    case droppedWrites
    /// Unsent bytes of all connections now.
    case bufferedBytes
    /// Connections aborted over a limit on unsent bytes.
    case writeLimitAborts
    /// Connections ended by a deadline.
    case timeouts
    /// Timers that fired.
    case timersFired
    /// Jobs that ran, local ones and those of other threads.
    case jobsRun
    /// Steps of Swift tasks that ran, each from where one could go on to where it had to wait.
    case taskSteps
    /// Tasks for other reactors that had to wait for room in a mailbox.
    case hopsThatWaited
    /// Messages put into mailboxes.
    case mailSent
    /// Messages taken from mailboxes.
    case mailReceived
    /// Messages refused because a mailbox was full.
    case mailFull
    /// Messages and jobs that a stopping reactor did not handle.
    case mailUndelivered
    /// Jobs taken from the inbox of foreign threads.
    case inboxJobs
    /// Other reactors woken out of their sleep.
    case wakeupsSent
    /// Times a connection's read budget ended with bytes left.
    case readBudgetExhausted
    /// Times a connection's file budget ended with bytes of files left.
    case fileBudgetExhausted
    /// Pieces of files that were not in memory and that a thread of the blocking pool has read.
    case fileLoads
    /// Times a listener's accept budget ended with connections left.
    case acceptBudgetExhausted
    /// Times the close budget ended with connections left.
    case closeBudgetExhausted
    /// Times the mail budget ended with mail left.
    case mailBudgetExhausted
    /// Times the timer budget ended with timers due.
    case timerBudgetExhausted
    /// Most connections closed in one turn.
    case mostClosesPerTurn
    /// Turns of repeating timers that were skipped because one took too long.
    case skippedRepeats

    /// True for those whose total is the largest, not the sum.
    public var isMaximum: Bool { self == .mostClosesPerTurn }
}

/// A reactor's counters: written by it alone, read from any thread. A value of an address; the memory is its
/// handle's.
package struct Counters: Sendable {
    static let errnoCount = 134
    private static let counterCount = Counter.allCases.count
    private let numbers: SharedNumbers

    init(in memory: LineMemory) {
        numbers = SharedNumbers(count: Counters.counterCount + Counters.errnoCount, in: memory)
    }

    @inline(__always)
    func add(_ counter: Counter, _ amount: Int = 1) {
        numbers[counter.rawValue] &+= UInt64(bitPattern: Int64(amount))
    }

    @inline(__always)
    func raise(_ counter: Counter, to value: UInt64) {
        if value > self[counter] { numbers[counter.rawValue] = value }
    }

    /// Counts an error of the system by its number; all beyond the table share its last cell.
    func add(_ errno: Errno) {
        numbers[Counters.counterCount + min(max(Int(errno.rawValue), 0), Counters.errnoCount - 1)] &+= 1
    }

    /// The counter's value now.
    package subscript(counter: Counter) -> UInt64 { numbers[counter.rawValue] }

    /// The errors counted so far, by their numbers, those that occurred.
    // tidy: allow banned: for snapshots, not for the loop
    package var errors: [Errno: UInt64] {
        // tidy: allow banned: for snapshots, not for the loop
        var errors: [Errno: UInt64] = [:]
        for number in 0..<Counters.errnoCount {
            let value = numbers[Counters.counterCount + number]
            if value > 0 { errors[Errno(rawValue: Int32(number))] = value }
        }
        return errors
    }
}
