// SPDX-License-Identifier: Apache-2.0

/// Something that the engine does often, in a form that can be done any number of times on one thread without a
/// kernel: so its instructions and allocations can be counted, and are the same whatever else the machine does.
public struct Operation: Sendable {
    /// Its name on the command line and in the table of thresholds.
    public let name: String
    /// What is done once.
    public let summary: String
    /// How often it is done in the shorter of two counted runs: a multiple of every batch; fewer of what takes long.
    public let repetitions: Int
    /// Makes what it needs; what is returned does it so many times. Called and used on one thread.
    public let prepare: @Sendable () throws -> (_ count: Int) -> Void

    init(
        _ name: String,
        _ summary: String,
        repetitions: Int = 1600,
        prepare: @escaping @Sendable () throws -> (_ count: Int) -> Void
    ) {
        self.name = name
        self.summary = summary
        self.repetitions = repetitions
        self.prepare = prepare
    }

    /// All of them, in the order in which they are shown.
    public static let all: [Operation] =
        mailboxes + [emptyTurn, submit] + timers + connections + writing + [byteChunk, topology]

    /// The one with the name, or nil.
    public static func named(_ name: String) -> Operation? { all.first { $0.name == name } }
}

/// A count that callbacks raise, which the compiler wants to be Sendable; all of it on one thread.
// Sendable: operations run on one thread.
final class Tally: @unchecked Sendable {
    var count = 0
}
