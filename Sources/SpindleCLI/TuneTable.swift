// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The table of a stage of `spindle tune`, as people see it fill.
final class TuneTable: Sendable {
    /// No tables, as for programs.
    private let isQuiet: Bool
    /// Lines of the table that is shown now.
    private let shown = Atomic<Int>(0)

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    /// The table as it is now; on a terminal in the place of the one before, else only when nothing more is done to it.
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
