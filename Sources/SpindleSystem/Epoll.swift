// SPDX-License-Identifier: Apache-2.0

public import CLinux
internal import Glibc
package import SpindleCore

/// An epoll instance, edge-triggered. epoll(7).
@safe public final class Epoll {
    /// What a registration reports.
    package struct Interest: Sendable {
        let bits: UInt32
        /// Bytes can be read, room to write appeared, the peer closed its side. Errors and hang-ups come unasked.
        package static let stream = Interest(
            bits: readable | writable | peerClosed | urgent | edgeTriggered
        )
        /// Connections wait to be accepted, or an eventfd was written to.
        package static let incoming = Interest(bits: readable | edgeTriggered)
        /// Reported for as long as it is so, and not on the edge.
        package static func level(readable: Bool, writable: Bool) -> Interest {
            Interest(bits: (readable ? Epoll.readable | peerClosed : 0) | (writable ? Epoll.writable : 0))
        }
        /// Of a socket that several instances watch: one of them is woken, mostly.
        package static let sharedIncoming = Interest(bits: readable | edgeTriggered | exclusive)
    }

    /// The event bits, checked against the headers in CLinux.c. Computed: a stored one costs a once-check a use.
    package static var readable: UInt32 { 0x1 }
    private static var writable: UInt32 { 0x4 }
    private static var peerClosed: UInt32 { 0x2000 }
    private static var urgent: UInt32 { 0x2 }
    private static var edgeTriggered: UInt32 { 1 << 31 }
    private static var exclusive: UInt32 { 1 << 28 }

    private let descriptor: Descriptor
    @usableFromInline let events: UnsafeMutablePointer<cl_epoll_event>
    private let capacity: Int
    private var lacksNanosecondWait = false

    /// An instance whose `wait` returns at most `capacity` events (at least 1).
    ///
    /// - Throws: EMFILE, ENFILE or ENOMEM.
    package init(capacity: Int) throws(Errno) {
        precondition(capacity > 0, "epoll_wait rejects an empty event list")
        descriptor = Descriptor(owning: try checked(cl_epoll_create()))
        self.capacity = capacity
        unsafe events = .allocate(capacity: capacity)
    }

    deinit { unsafe events.deallocate() }

    /// epoll_ctl(2) with EPOLL_CTL_ADD; `token` comes back with each event.
    package func add(_ target: CInt, _ interest: Interest, token: UInt64) throws(Errno) {
        try checked(cl_epoll_add(descriptor.rawValue, target, interest.bits, token))
    }

    /// epoll_ctl(2) with EPOLL_CTL_MOD: what is ready already is reported once more.
    package func rearm(_ target: CInt, _ interest: Interest, token: UInt64) throws(Errno) {
        try checked(cl_epoll_modify(descriptor.rawValue, target, interest.bits, token))
    }

    /// epoll_ctl(2) with EPOLL_CTL_DEL, of a descriptor that was added.
    package func remove(_ target: CInt) {
        let result = cl_epoll_remove(descriptor.rawValue, target)
        precondition(result == 0, "epoll_ctl(\(descriptor.rawValue), DEL, \(target)): errno \(-result)")
    }

    /// The same of one that may be closed by now, or be another's.
    package func removeIfThere(_ target: CInt) { _ = cl_epoll_remove(descriptor.rawValue, target) }

    /// Waits until something is ready or `timeout` nanoseconds have passed; 0 only polls, negative waits for ever.
    ///
    /// - Returns: How many events `event(at:)` holds. 0 means timeout or signal: a signal ends the wait early,
    ///   and the caller must compute the timeout anew, or its next timer would fire late.
    /// - SeeAlso: epoll_pwait2(2); where a kernel or sandbox refuses it, epoll_wait(2) rounded up to milliseconds.
    package func wait(timeout: Int64) -> Int {
        if timeout > 0, !lacksNanosecondWait {
            let count = unsafe cl_epoll_pwait2(descriptor.rawValue, events, CInt(capacity), timeout)
            if count >= 0 { return Int(count) }
            if count == -EINTR { return 0 }
            // ENOSYS before Linux 5.11; EPERM from seccomp filters that do not know the call.
            precondition(count == -ENOSYS || count == -EPERM, "epoll_pwait2: errno \(-count)")
            lacksNanosecondWait = true
        }
        let milliseconds = timeout <= 0 ? CInt(timeout.signum()) : Epoll.roundedUpMilliseconds(timeout)
        let count = unsafe cl_epoll_wait(descriptor.rawValue, events, CInt(capacity), milliseconds)
        if count >= 0 { return Int(count) }
        precondition(count == -EINTR, "epoll_wait(\(descriptor.rawValue)): errno \(-count)")
        return 0
    }

    /// Whole milliseconds, never less than asked; beyond what a C int holds, its maximum (24 days).
    static func roundedUpMilliseconds(_ nanoseconds: Int64) -> CInt {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return CInt(clamping: quotient + (remainder > 0 ? 1 : 0))
    }

    /// The event at `index` of the last wait: its bits and its registration's token.
    @inlinable
    public func event(at index: Int) -> (bits: UInt32, token: UInt64) {
        let event = unsafe events[index]
        return (event.events, event.data)
    }

    /// For tests of the fallback: behave as on a kernel without epoll_pwait2(2).
    package func pretendOldKernel() { lacksNanosecondWait = true }
}
