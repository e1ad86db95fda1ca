// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

extension StreamConnection {
    /// Sends `bytes`, and descriptors with the first of them, without waiting; as `StreamTransport` does.
    ///
    /// - Throws: `PassingError`; nothing is sent then.
    public func write(_ bytes: Span<UInt8>, passing descriptors: [Int32]) throws(PassingError) {
        guard reason == nil else { return }
        try connection.write(bytes, passing: descriptors)
    }

    /// Sets an option of the socket.
    ///
    /// - Throws: `SocketOptionError` with what the kernel says; EBADF when the connection has ended.
    public func set<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketOptionError) {
        guard reason == nil else { throw SocketOptionError(option.name, .badDescriptor) }
        try connection.set(option, to: value)
    }

    /// The option's value, as the kernel has it.
    ///
    /// - Throws: `SocketOptionError` with what the kernel says; EBADF when the connection has ended.
    public func value<Value>(of option: SocketOption<Value>) throws(SocketOptionError) -> Value {
        guard reason == nil else { throw SocketOptionError(option.name, .badDescriptor) }
        return try connection.value(of: option)
    }

    /// TCP_NODELAY: true sends small pieces at once. On by default. tcp(7).
    public var noDelay: Bool {
        get { reason == nil && connection.noDelay }
        set { if reason == nil { connection.noDelay = newValue } }
    }

    /// SO_KEEPALIVE: true probes a silent peer. Off by default. socket(7).
    public var keepAlive: Bool {
        get { reason == nil && connection.keepAlive }
        set { if reason == nil { connection.keepAlive = newValue } }
    }

    /// How many descriptors of the peer's may have come without having been taken; as of `StreamTransport`.
    public var passedDescriptorLimit: Int {
        get { reason == nil ? connection.passedDescriptorLimit : 0 }
        set { if reason == nil { connection.passedDescriptorLimit = newValue } }
    }

    /// The descriptors that came with the bytes so far and were not taken, in order.
    public func takePassedDescriptors() -> [PassedDescriptor] {
        reason == nil ? connection.takePassedDescriptors() : []
    }

    /// Reading is no faster than all of these allow; as of `StreamTransport`.
    public var readLimits: [RateLimit] {
        get { reason == nil ? connection.readLimits : [] }
        set { if reason == nil { connection.readLimits = newValue } }
    }

    /// Sending is no faster than all of these allow; as of `StreamTransport`.
    public var writeLimits: [RateLimit] {
        get { reason == nil ? connection.writeLimits : [] }
        set { if reason == nil { connection.writeLimits = newValue } }
    }
}
