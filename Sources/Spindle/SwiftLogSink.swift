// SPDX-License-Identifier: Apache-2.0

public import Logging
public import SpindleCore

/// Hands the engine's log to swift-log. The engine never bootstraps the logging system.
public struct SwiftLogSink: LogSink {
    private let logger: Logger

    /// Writes to `logger`; reactor, connection and peer become metadata.
    public init(_ logger: Logger) { self.logger = logger }

    /// Writes to a logger with the label `spindle`, of whatever handler the program has bootstrapped.
    public static var standard: SwiftLogSink { SwiftLogSink(Logger(label: "spindle")) }

    /// Hands on one record.
    public func write(_ record: LogRecord) {
        guard record.level.swiftLogLevel >= logger.logLevel else { return }
        var metadata: Logger.Metadata = [:]
        if let reactor = record.reactor { metadata["reactor"] = "\(reactor)" }
        if let connection = record.connection { metadata["connection"] = "\(connection)" }
        if let peer = record.peer { metadata["peer"] = "\(peer)" }
        logger.log(level: record.level.swiftLogLevel, "\(record.message)", metadata: metadata)
    }
}

extension LogLevel {
    /// swift-log's name for it.
    public var swiftLogLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}
