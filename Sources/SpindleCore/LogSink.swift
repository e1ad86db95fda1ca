// SPDX-License-Identifier: Apache-2.0

/// How urgent a log record is, least first.
public enum LogLevel: Int, Sendable, Comparable {
    /// For those who read the engine's code along.
    case debug
    /// What an operator may want to know.
    case info
    /// Something was worked around.
    case warning
    /// Something failed and was not retried.
    case error

    /// Lower levels come first.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// One line for people, with the identity of what it is about.
public struct LogRecord: Sendable {
    /// How urgent.
    public let level: LogLevel
    /// What happened, one sentence, without the identity.
    public let message: String
    /// The reactor's index, or nil for the engine as a whole.
    public let reactor: Int?
    /// The number of the connection on that reactor, counted from 1, or nil.
    public let connection: UInt64?
    /// The peer of that connection, or nil.
    public let peer: SocketAddress?

    /// A record; leave out what does not apply.
    public init(
        level: LogLevel,
        message: String,
        reactor: Int? = nil,
        connection: UInt64? = nil,
        peer: SocketAddress? = nil
    ) {
        self.level = level
        self.message = message
        self.reactor = reactor
        self.connection = connection
        self.peer = peer
    }
}

/// Where the engine's log goes. Called from every reactor's thread, so it must not block.
public protocol LogSink: Sendable {
    /// Takes one record.
    func write(_ record: LogRecord)
}

/// A sink that drops everything: the default of the lower layers.
public struct SilentLog: LogSink {
    /// A sink without state.
    public init() {}
    /// Drops the record.
    public func write(_ record: LogRecord) {}
}
