// SPDX-License-Identifier: Apache-2.0

import Spindle

/// `docs/tuning.md`, made from the table of options (`make tuning-doc`); a test compares the two.
enum TuningDocument {
    /// What was measured of an option, and where it is written down. Without a figure, nobody has measured it.
    private static let effects: [String: String] = [
        "close-budget": "32 closes in a turn took up to 1.9 ms, 16 take 1.2 (decision 0004)",
        "descriptor-table": "accept(2) took 10 to 33 ms at the 256th, 512th … connection without it (decision 0007)",
        "events-per-glance":
            "a message to a reactor with 1,000 ready connections: p99 321 µs with a look every 16 events, "
            + "167 with one every 4, both at 256 events in a wait (decision 0006)",
        "events-per-wait": "the same at a look every 4 events: 167 µs with 256 events, 70 with 64; an echo over 5,000 "
            + "connections costs the same (decision 0006)",
        "receive-buffer":
            "streaming 4 × 512 B: 16KiB reach 0.61 (0.54 to 0.74) of the rate of 64KiB, 256KiB 1.02 (0.91 to 1.02); "
            + "16 × 16 KiB × 4: 16KiB reach 0.51 (\(options))",
        "read-budget": "256KiB over 64KiB, 16 × 16 KiB × 4: CPU 0.98 (0.97 to 1.05), no difference (\(options))",
        "cork": "4KiB over 8KiB, 64 × 64 B × 16: CPU 0.99 (0.96 to 1.02), no difference (\(options))",
        "pin": "never over always, one reactor and its client on two CPUs: CPU 1.00 (0.97 to 1.02); with more reactors "
            + "or other programs beside it is another question (\(options))",
        "idle-timeout": "60s over none, 64 × 64 B × 1: CPU 1.00 (0.98 to 1.05), no difference (\(options))",
        "write-high-watermark": "1MiB over 256KiB, 16 × 16 KiB × 16: rate 1.03 (0.94 to 1.07) (\(options))",
        "idle-spin":
            "a message there and back: 350 ns spinning, 11 µs asleep, on the same host (README, decision 0011)",
    ]

    /// Where the figures of several options stand.
    private static let options = "docs/benchmarks/2026-11-26-options.txt"

    /// What a machine with one node, one thread in each core and two CPUs has no choice of.
    private static let needsLargerMachine = ["cores", "cpuset", "numa-node", "placement", "no-smt", "oversubscribe"]

    /// What costs nothing until it is reached.
    private static let limits = [
        "max-connections", "backlog", "write-limit", "reactor-write-limit", "close-timeout", "write-progress-timeout",
        "linger-timeout", "drain-timeout", "mailbox-capacity", "inbox-capacity",
    ]

    /// What loopback can't tell, and `spindle tune` leaves out.
    private static let needsNetworkCard = ["near", "busy-poll"]

    static var text: String {
        let defaults = EngineConfiguration()
        var lines = [
            "# Tuning", "",
            "Every option of the engine: as a flag of `spindle`, as an environment variable, by its name in the "
                + "file of `--config` (YAML or JSON), in `EngineConfiguration`. "
                + "`spindle tune` tries those that matter on the machine at hand and says which to use. Made from the "
                + "table of options by `make tuning-doc`; don't edit.",
        ]
        for option in EngineOption.all {
            lines += [
                "", "## --\(option.name)" + (option.placeholder.map { " \($0)" } ?? ""), "", option.summary, "",
                "- Unit: \(unit(of: option)).",
                "- Default: `\(option.value(in: defaults))`. Allowed: \(option.allowed). "
                    + "Environment: `\(option.environmentName)`.",
                "- \(option.tradeOff)",
            ]
            if needsNetworkCard.contains(option.name) {
                lines.append("- Needs a network card: loopback shows nothing.")
            }
            if needsLargerMachine.contains(option.name) {
                lines.append("- Not measured: it takes a machine with more CPUs than the two of this project's.")
            }
            if limits.contains(option.name) { lines.append("- A limit: without effect until it is reached.") }
            if let effect = effects[option.name] { lines.append("- Measured: \(effect).") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// What its values are counted in.
    private static func unit(of option: EngineOption) -> String {
        switch option.placeholder {
        case nil: "none, it is on or off"
        case "SIZE": "bytes, as 4096, 64KiB or 1MiB"
        case "TIME": "a time, as 50us, 20ms or 10s"
        case "N": "a whole number of what it names"
        case "LIST": "numbers of CPUs, as Linux counts them"
        case let words? where words.hasPrefix("N|"): "reactors, or a word"
        case let words?: words.contains("|") ? "a word" : "a name"
        }
    }

    /// Options that are named here and don't exist.
    static var unknown: [String] {
        (Array(effects.keys) + needsNetworkCard + needsLargerMachine + limits).filter { EngineOption.named($0) == nil }
    }
}
