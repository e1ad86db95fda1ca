// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Logging
public import Spindle
import SpindleService
import SpindleSystem

/// The `spindle` command, for programs that link plugins: their names work in `--listen` and `--protocol`.
///
///     import SpindleCLI
///
///     SpindleProgram.main(plugins: [Chat()])
public enum SpindleProgram {
    /// What can be named in text.
    static var linked: PluginRegistry { registry.withLock { $0 } }
    private static let registry = Guarded(PluginRegistry())

    /// Writes the log of every command; what comes before a command has said how is kept.
    static let log: LogWriter = {
        do { return try LogWriter() } catch {
            Console.complain("the log cannot be written: \(error)")
            exit(ExitStatus.system)
        }
    }()

    /// Runs the command that the arguments name, and ends the process with its exit code.
    ///
    /// Takes Swift's logging system (`LoggingSystem.bootstrap`) for the process. Call it on the process's first thread:
    /// it blocks that thread, which an asynchronous `main` would end; what is left of it would show the owner that
    /// the process had before `--user` for as long as the process lives. So the main actor runs nothing: plugins must
    /// not wait for it.
    public static func main(plugins: [any Plugin] = []) -> Never {
        LoggingSystem.bootstrap(log.handler)
        do {
            try registry.withLock { registry in
                for plugin in [StandardProtocols(), StandardPolicies()] + plugins { try registry.add(plugin) }
            }
        } catch { end(CommandFailure.report(error)) }
        Task.detached {
            do {
                var command = try SpindleCommand.parseAsRoot()
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
            } catch { end(error) }
            end(nil)
        }
        Latch().wait()
        exit(ExitStatus.system)
    }

    /// Begins to show the log on standard error: warnings, for commands that measure.
    static func startLog(_ format: LogFormat = .text, level: LogLevel = .warning, queue: Int? = nil) throws {
        if let queue { log.capacity = queue }
        try log.start(format, level: level.swiftLogLevel)
    }

    /// What was logged is shown first.
    private static func end(_ error: (any Error)?) -> Never {
        log.stop()
        guard let error else { exit(0) }
        SpindleCommand.exit(withError: error)
    }

    /// What is registered, for help.
    static var registeredHelp: String {
        let entries = linked.entries
        let lines = PluginRegistry.Kind.allCases.flatMap { kind -> [String] in
            let ofKind = entries.filter { $0.kind == kind }
            guard !ofKind.isEmpty else { return [] }
            return ["\(kind.rawValue.uppercased())S:"]
                + ofKind.map { entry in
                    let gap = String(repeating: " ", count: max(1, 24 - entry.name.count))
                    return "  \(entry.name)\(gap)\(entry.summary)"
                }
        }
        return lines.joined(separator: "\n")
    }
}
