// SPDX-License-Identifier: Apache-2.0

/// The options of sockets that can be set, by their names in the kernel's manual.
public enum SocketOptionName: String, Sendable, CaseIterable {
    /// Small pieces leave at once. tcp(7).
    case noDelay = "TCP_NODELAY"
    /// What came is acknowledged at once, until the kernel thinks better of it. tcp(7).
    case quickAck = "TCP_QUICKACK"
    /// A silent peer is probed. socket(7).
    case keepAlive = "SO_KEEPALIVE"
    /// Silence before the first probe. tcp(7).
    case keepAliveIdle = "TCP_KEEPIDLE"
    /// Time between probes. tcp(7).
    case keepAliveInterval = "TCP_KEEPINTVL"
    /// Probes without an answer. tcp(7).
    case keepAliveCount = "TCP_KEEPCNT"
    /// How long bytes may stay unacknowledged. tcp(7).
    case userTimeout = "TCP_USER_TIMEOUT"
    /// The kernel's unsent bytes above which a socket is not writable. tcp(7).
    case notSentLowWatermark = "TCP_NOTSENT_LOWAT"
    /// A listener's queue of connections whose first bytes came with their SYN. RFC 7413.
    case fastOpen = "TCP_FASTOPEN"
    /// A connection of this side sends its first bytes with its SYN. RFC 7413.
    case fastOpenConnect = "TCP_FASTOPEN_CONNECT"
    /// A listener tells of connections when their first bytes have come. tcp(7).
    case deferAccept = "TCP_DEFER_ACCEPT"
    /// The send buffer's bytes. socket(7).
    case sendBuffer = "SO_SNDBUF"
    /// The receive buffer's bytes. socket(7).
    case receiveBuffer = "SO_RCVBUF"
    /// A number for the packets' routing and filters. socket(7).
    case mark = "SO_MARK"
    /// The packets' class of service. RFC 2474.
    case dscp = "DSCP"
    /// How long a wait may ask the device's queue. socket(7).
    case busyPoll = "SO_BUSY_POLL"
    /// The CPU that handled the last packet; of a listener in a group, the one whose packets it prefers. socket(7).
    case incomingCPU = "SO_INCOMING_CPU"
}

/// An option of a socket, with the type and the unit of its value.
///
///     try transport.set(.userTimeout, to: .seconds(20))
///     let bytes = try transport.value(of: .receiveBuffer)
public struct SocketOption<Value: Sendable>: Sendable {
    /// The kernel's name.
    public let name: SocketOptionName
    /// As the kernel has it; nil for what it can't have.
    let encode: @Sendable (Value) -> Int32?
    let decode: @Sendable (Int32) -> Value
}

extension SocketOption where Value == Bool {
    private init(_ name: SocketOptionName) {
        self.init(name: name, encode: { $0 ? 1 : 0 }, decode: { $0 != 0 })
    }

    /// TCP_NODELAY: small pieces leave at once. On by default.
    public static var noDelay: Self { Self(.noDelay) }
    /// TCP_QUICKACK: what came is acknowledged at once; not for ever, the kernel turns it off again.
    public static var quickAck: Self { Self(.quickAck) }
    /// SO_KEEPALIVE: a silent peer is probed. Off by default.
    public static var keepAlive: Self { Self(.keepAlive) }
    /// TCP_FASTOPEN_CONNECT: the first bytes go with the SYN. Of connections of this side, before they are made.
    public static var fastOpenConnect: Self { Self(.fastOpenConnect) }
}

extension SocketOption where Value == Duration {
    /// Durations in a unit of so many nanoseconds: parts of it are rounded up, so that short is not none.
    private init(_ name: SocketOptionName, unit: Int64) {
        self.init(
            name: name,
            encode: { duration in
                let nanoseconds = duration.clampedNanoseconds
                guard nanoseconds >= 0 else { return nil }
                return Int32(exactly: nanoseconds / unit + (nanoseconds % unit > 0 ? 1 : 0))
            },
            decode: { .nanoseconds(Int64($0) * unit) }
        )
    }

    /// TCP_KEEPIDLE: silence before the first probe; seconds. The kernel's default is two hours.
    public static var keepAliveIdle: Self { Self(.keepAliveIdle, unit: 1_000_000_000) }
    /// TCP_KEEPINTVL: time between probes; seconds.
    public static var keepAliveInterval: Self { Self(.keepAliveInterval, unit: 1_000_000_000) }
    /// TCP_USER_TIMEOUT: how long bytes may stay unacknowledged before the connection is lost (ETIMEDOUT);
    /// milliseconds, zero for the kernel's own count.
    public static var userTimeout: Self { Self(.userTimeout, unit: 1_000_000) }
    /// TCP_DEFER_ACCEPT: a listener tells of connections when their first bytes have come, or this time has passed;
    /// seconds, which the kernel turns into a number of tries.
    public static var deferAccept: Self { Self(.deferAccept, unit: 1_000_000_000) }
    /// SO_BUSY_POLL: how long a wait may ask the device's queue; microseconds. Raising it needs CAP_NET_ADMIN.
    public static var busyPoll: Self { Self(.busyPoll, unit: 1000) }
}

extension SocketOption where Value == Int {
    private init(_ name: SocketOptionName, in range: ClosedRange<Int> = 0...Int(Int32.max)) {
        self.init(name: name, encode: { range.contains($0) ? Int32($0) : nil }, decode: { Int($0) })
    }

    /// TCP_KEEPCNT: probes without an answer after which the connection is lost.
    public static var keepAliveCount: Self { Self(.keepAliveCount, in: 1...127) }
    /// TCP_NOTSENT_LOWAT: the kernel's unsent bytes above which a socket is not writable: what is written later waits
    /// in the engine, where it can still be dropped or overtaken.
    public static var notSentLowWatermark: Self { Self(.notSentLowWatermark) }
    /// TCP_FASTOPEN: a listener's queue of connections whose first bytes came with their SYN; the same bytes may come
    /// twice (RFC 7413 §2.1).
    public static var fastOpen: Self { Self(.fastOpen) }
    /// SO_SNDBUF: bytes; the kernel doubles the number, limits it to net.core.wmem_max, and stops tuning it.
    public static var sendBuffer: Self { Self(.sendBuffer) }
    /// SO_RCVBUF: bytes; the kernel doubles the number, limits it to net.core.rmem_max, and stops tuning it.
    public static var receiveBuffer: Self { Self(.receiveBuffer) }
    /// SO_MARK: a number for routing rules and filters. Needs CAP_NET_ADMIN.
    public static var mark: Self { Self(.mark) }
    /// The class of service, 0 to 63: the upper six bits of IP_TOS and IPV6_TCLASS. 46 is expedited (RFC 3246).
    public static var dscp: Self { Self(.dscp, in: 0...63) }
    /// SO_INCOMING_CPU.
    public static var incomingCPU: Self { Self(.incomingCPU) }
}

/// An option with the value that it is to have.
public struct SocketSetting: Sendable, Hashable, CustomStringConvertible {
    /// The option.
    public let name: SocketOptionName
    /// As the kernel has it.
    public let rawValue: Int32

    /// Nil when the option can't have the value: a time below zero, a number out of its range.
    public init?<Value>(_ option: SocketOption<Value>, _ value: Value) {
        guard let rawValue = option.encode(value) else { return nil }
        self.init(option.name, rawValue)
    }

    init(_ name: SocketOptionName, _ rawValue: Int32) {
        self.name = name
        self.rawValue = rawValue
    }

    /// `TCP_KEEPCNT=3`.
    public var description: String { "\(name.rawValue)=\(rawValue)" }
}

/// A socket has refused an option.
public struct SocketOptionError: Error, Hashable, CustomStringConvertible {
    /// Which.
    public let name: SocketOptionName
    /// What the kernel says: EINVAL also for values that the option can't have.
    public let errno: Errno

    /// For drivers and transports of your own.
    public init(_ name: SocketOptionName, _ errno: Errno) {
        self.name = name
        self.errno = errno
    }

    /// The option, the reason, and what to do about it.
    public var description: String {
        let advice =
            switch (errno, name) {
            case (.notPermitted, _): "; it needs CAP_NET_ADMIN"
            case (.notSupported, _), (.noProtocolOption, _): "; this kind of socket does not have it"
            case (.invalidArgument, _): "; the value is none that it can have, or the connection is over"
            case (.badDescriptor, _): "; the connection is closed"
            default: ""
            }
        return "\(name.rawValue) is refused: \(errno)\(advice)"
    }
}

/// What has a socket whose options can be set.
public protocol SocketTransport: AnyObject {
    /// Sets an option of the socket; `set(_:to:)` with types.
    func apply(_ setting: SocketSetting) throws(SocketOptionError)

    /// An option's value as the kernel has it; `value(of:)` with types.
    func rawValue(of option: SocketOptionName) throws(SocketOptionError) -> Int32
}

extension SocketTransport {
    /// Sets an option of the socket.
    ///
    /// - Throws: `SocketOptionError` with what the kernel says.
    public func set<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketOptionError) {
        guard let setting = SocketSetting(option, value) else { throw SocketOptionError(option.name, .invalidArgument) }
        try apply(setting)
    }

    /// The option's value, as the kernel has it.
    ///
    /// - Throws: `SocketOptionError` with what the kernel says.
    public func value<Value>(of option: SocketOption<Value>) throws(SocketOptionError) -> Value {
        option.decode(try rawValue(of: option.name))
    }
}

extension StreamTransport {
    /// TCP_NODELAY: true sends small pieces at once. On by default. tcp(7). False of other sockets.
    public var noDelay: Bool {
        get { (try? value(of: .noDelay)) ?? false }
        // A socket that the peer has reset refuses (EINVAL); its end is on the way as an event.
        set { try? set(.noDelay, to: newValue) }
    }

    /// SO_KEEPALIVE: true probes a silent peer. Off by default. socket(7).
    public var keepAlive: Bool {
        get { (try? value(of: .keepAlive)) ?? false }
        set { try? set(.keepAlive, to: newValue) }
    }
}
