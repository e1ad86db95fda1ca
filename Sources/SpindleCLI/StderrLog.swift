// SPDX-License-Identifier: Apache-2.0

import Spindle

/// The engine's log on standard error, a line per record.
struct StderrLog: LogSink {
    let minimum: LogLevel

    static func level(_ name: String) -> LogLevel? {
        switch name {
        case "debug": .debug
        case "info": .info
        case "warning": .warning
        case "error": .error
        default: nil
        }
    }

    func write(_ record: LogRecord) {
        guard record.level >= minimum else { return }
        var identity = ""
        if let reactor = record.reactor { identity += "reactor \(reactor): " }
        if let connection = record.connection { identity += "connection \(connection): " }
        if let peer = record.peer { identity += "\(peer): " }
        Console.complain("\(record.level): \(identity)\(record.message)")
    }
}
