// SPDX-License-Identifier: Apache-2.0

import Operations

/// An operation so many times, for callgrind or a counting malloc around this process: two runs of different length
/// are subtracted, so that start and end cancel out.
enum Counting {
    private final class Planted {}

    static func run(_ arguments: Arguments) throws -> Figures {
        let name = String(arguments.name.dropFirst("count/".count))
        guard let operation = Operation.named(name) else {
            let known = Operation.all.map(\.name).joined(separator: ", ")
            Arguments.refuse("there is no operation \(name); there are \(known)")
        }
        let times = arguments.number("times", default: operation.repetitions)
        let body = try operation.prepare()
        body(times)
        var planted: [Planted] = []
        for _ in 0..<times * arguments.number("plant", default: 0) { planted = [Planted()] }
        return ["times": Double(times), "planted": Double(planted.count)]
    }
}
