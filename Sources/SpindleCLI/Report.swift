// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import SpindleTopology

/// Text and JSON about an engine.
enum Report {
    /// What was detected and where each reactor runs, a few lines.
    static func placement(of engine: Engine) -> String {
        let plan = engine.placement
        let count = plan.reactors.count
        let pinning = plan.isPinned ? "pinned" : "floating"
        var lines = ["\(count) reactor\(count == 1 ? "" : "s"), \(pinning), because \(plan.pinReason)"]
        let shown = plan.reactors.prefix(16).map { place in
            "\(place.index) on CPU \(place.allowedCPUs)" + (place.node.map { " (node \($0))" } ?? "")
        }
        lines.append("  " + shown.joined(separator: ", ") + (count > 16 ? ", …" : ""))
        lines += plan.warnings.map { "  warning: \($0)" }
        return lines.joined(separator: "\n")
    }

    /// Every counter, summed over the reactors and by reactor.
    static func json(of snapshot: EngineSnapshot) -> JSONValue {
        func counters(_ value: (Counter) -> UInt64) -> [JSONValue.Member] {
            Counter.allCases.map { .init("\($0)", .integer(Int(clamping: value($0)))) }
        }
        // The names that the raw C floor prints, so that one harness reads both.
        let floorNames: [JSONValue.Member] = [
            .init("recv", .integer(Int(snapshot[.receives]))),
            .init("send", .integer(Int(snapshot[.sends]))),
            .init("epoll_wait", .integer(Int(snapshot[.waits]))),
        ]
        let errors = snapshot.errors.sorted { $0.key.rawValue < $1.key.rawValue }.map { errno, count in
            JSONValue.Member("\(errno.rawValue)", .integer(Int(count)))
        }
        let reactors = snapshot.reactors.map { reactor in
            let phases = reactor.turns.phases.map { phase, _, longest in
                JSONValue.Member("\(phase)", .integer(Int(longest)))
            }
            return JSONValue.object(
                [
                    .init("index", .integer(reactor.index)), .init("cpu", .integer(reactor.cpu)),
                    .init("busyShare", .number(reactor.busyShare)),
                    .init("runDelayNanoseconds", .integer(reactor.runDelay.map { Int($0 / .nanoseconds(1)) })),
                    .init("longestTurnNanoseconds", .integer(Int(reactor.turns.longestTurnNanoseconds))),
                    .init("longestPhaseNanoseconds", .object(phases)),
                    .init("longestCallbackNanoseconds", .integer(Int(reactor.turns.longestCallbackNanoseconds))),
                    .init("longestCallbackProtocol", .string(reactor.turns.longestCallbackProtocol)),
                ] + counters { reactor[$0] }
            )
        }
        return .object(
            floorNames + counters { snapshot[$0] } + [
                .init("errorsByNumber", .object(errors)), .init("throttled", .integer(snapshot.throttleCount)),
                .init("reactors", .array(reactors)),
            ]
        )
    }
}

/// The last snapshot before the reactors went.
final class FinalSnapshot: Sendable {
    private let snapshot = Guarded<EngineSnapshot?>(nil)
    func set(_ value: EngineSnapshot) { snapshot.withLock { $0 = value } }
    var get: EngineSnapshot? { snapshot.withLock { $0 } }
}

/// `--stats`: a line per core at an interval.
struct StatisticsReporter {
    let engine: Engine
    let interval: Duration

    func run() async {
        var before = engine.snapshot()
        while !Task.isCancelled {
            do { try await ContinuousClock().sleep(for: interval) } catch { return }
            let now = engine.snapshot()
            for (old, new) in zip(before.reactors, now.reactors) { Console.say(line(old, new)) }
            before = now
        }
    }

    private func line(_ old: ReactorSnapshot, _ new: ReactorSnapshot) -> String {
        func rate(_ counter: Counter) -> Int {
            Int(Double(new[counter] &- old[counter]) / (interval / .seconds(1)))
        }
        let messages = rate(.messages)
        let perSecond = "\(messages) msg/s, \(rate(.bytesReceived) >> 10) KiB/s in, \(rate(.bytesSent) >> 10) KiB/s out"
        let open = "\(new[.openConnections]) open, +\(rate(.accepted))/s, \(new[.bufferedBytes] >> 10) KiB unsent"
        let state = "\(open), \(rate(.turns)) turns/s"
        let longest = "longest turn \(new.turns.longestTurnNanoseconds / 1000) us"
        let delay = new.runDelay.map { now in
            ", waited \(Int((now - (old.runDelay ?? .zero)) / .microseconds(1))) us for its CPU"
        }
        return "core \(new.index): \(perSecond), \(state), \(longest)\(delay ?? "")"
    }
}
