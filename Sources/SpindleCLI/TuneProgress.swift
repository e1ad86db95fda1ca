// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// What people see of `spindle tune` while it runs, and how they end it.
final class TuneProgress: Sendable {
    /// No tables, as for programs.
    private let isQuiet: Bool
    private let ending = Atomic<Bool>(false)
    /// The process of the server that is being measured, when it is a child; else 0.
    private let server = Atomic<Int>(0)
    /// Lines of the table that is shown now.
    private let shown = Atomic<Int>(0)

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    /// Nothing more is tried.
    func end() { ending.store(true, ordering: .relaxed) }

    var isEnding: Bool { ending.load(ordering: .relaxed) }

    func serverRuns(_ process: Int?) { server.store(process ?? 0, ordering: .relaxed) }

    /// So that it does not outlive this process.
    func endServer() {
        let process = server.load(ordering: .relaxed)
        if process > 0 { kill(pid_t(process), SIGTERM) }
    }

    /// A stage's table as it is now; on a terminal in the place of the one before, else only at the end.
    func show(_ lines: [String], doing: String?) {
        guard !isQuiet else { return }
        guard Console.isTerminal else {
            if doing == nil { Console.say((["", lines[0]] + lines.dropFirst()).joined(separator: "\n")) }
            return
        }
        let all = [""] + lines + (doing.map { [$0] } ?? [])
        Console.redraw(all, over: shown.exchange(doing == nil ? 0 : all.count, ordering: .relaxed))
    }
}
