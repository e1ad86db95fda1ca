// SPDX-License-Identifier: Apache-2.0

internal import SpindleTopology

extension EngineOption {
    /// Every option of an engine, in the order in which help shows them.
    public static let all: [EngineOption] = placement + accepting + privileges + limits + timeouts + crossCore

    private static let placement: [EngineOption] = [
        EngineOption(
            name: "cores",
            placeholder: "N|all|physical",
            allowed: "auto, all, physical, or a number from 1 to \(Placement.reactorLimit)",
            summary: "How many reactors, each on a core of its own.",
            tradeOff: "More serve more connections at once; beyond the CPU quota all are frozen together.",
            isCommon: true,
            parse: { text, configuration in
                switch text {
                case "auto": configuration.placement.cores = .automatic
                case "all": configuration.placement.cores = .all
                case "physical": configuration.placement.cores = .physical
                default:
                    guard let count = Int(text), (1...Placement.reactorLimit).contains(count) else { return false }
                    configuration.placement.cores = .count(count)
                }
                return true
            },
            print: { configuration in
                switch configuration.placement.cores {
                case .automatic: "auto"
                case .all: "all"
                case .physical: "physical"
                case .count(let count): "\(count)"
                }
            }
        ),
        EngineOption(
            name: "cpuset",
            placeholder: "LIST",
            allowed: "any, or a list of CPUs as 0-3,8 (cpuset(7))",
            summary: "Only these CPUs.",
            tradeOff: "Leaves the others to other programs, or to the interrupts of the network card.",
            isCommon: true,
            parse: { text, configuration in
                if text == "any" {
                    configuration.placement.cpuset = nil
                    return true
                }
                guard let cpus = try? CPUSet(parsing: text), !cpus.isEmpty else { return false }
                configuration.placement.cpuset = cpus
                return true
            },
            print: { $0.placement.cpuset?.listText ?? "any" }
        ),
        EngineOption(
            name: "numa-node",
            placeholder: "N",
            allowed: "any, or the number of a NUMA node",
            summary: "Only CPUs and memory of this NUMA node.",
            tradeOff: "Messages between reactors stay near; the other nodes' memory bandwidth is not used.",
            isCommon: false,
            parse: { text, configuration in
                guard text == "any" || Int(text).map({ $0 >= 0 }) == true else { return false }
                configuration.placement.numaNode = Int(text)
                return true
            },
            print: { $0.placement.numaNode.map(String.init) ?? "any" }
        ),
        EngineOption(
            name: "near",
            placeholder: "IFACE",
            allowed: "any, or the name of a network interface",
            summary: "Fill the NUMA node of this network interface first.",
            tradeOff: "Packets and reactors share a node; on one node or loopback it changes nothing.",
            isCommon: false,
            parse: { text, configuration in
                guard !text.isEmpty else { return false }
                configuration.placement.near = text == "any" ? nil : text
                return true
            },
            print: { $0.placement.near ?? "any" }
        ),
        .choice(
            "placement",
            \.placement.strategy,
            summary: "Spread reactors over nodes and caches, or pack them together.",
            tradeOff: "Spread gives each more cache and memory bandwidth; packed messages are cheaper."
        ),
        .choice(
            "pin",
            \.placement.pin,
            summary: "Bind each reactor's thread to its CPU.",
            tradeOff:
                "Pinned threads keep their caches; under a quota on shared CPUs they would all want the same ones.",
            isCommon: true
        ),
        .flag(
            "no-smt",
            \.placement.allowSMT,
            whenSet: false,
            summary: "At most one reactor per physical core.",
            tradeOff: "A core's second thread adds a fifth to a third of throughput, and costs tail latency."
        ),
        .flag(
            "oversubscribe",
            \.placement.oversubscribe,
            summary: "Allow more reactors than CPUs, and poll mode under a quota.",
            tradeOff: "For tests: reactors that share a CPU wait for each other."
        ),
    ]

    private static let accepting: [EngineOption] = [
        .choice(
            "accept-mode",
            \.acceptMode,
            summary: "How connections reach reactors.",
            tradeOff: "The kernel's hash is free and uneven with few connections; balanced is even and moves some.",
            isCommon: true
        ),
        .integer(
            "balance-threshold",
            \.balanceThreshold,
            in: 1...1_000_000,
            summary: "With balanced, or a Unix socket: connections more than the emptiest reactor's that are kept.",
            tradeOff: "Less is more even and moves more connections, a message each."
        ),
        .integer(
            "backlog",
            \.backlog,
            in: 1...65535,
            summary: "Connections that may wait to be accepted, per listening socket.",
            tradeOff: "More survives bursts; the kernel clamps it to net.core.somaxconn."
        ),
        .duration(
            "busy-poll",
            \.busyPoll,
            in: .zero...(.milliseconds(100)),
            summary: "Let the kernel spin in the network driver for so long (SO_BUSY_POLL).",
            tradeOff: "Less latency for CPU; needs CAP_NET_ADMIN and a driver that can; nothing on loopback."
        ),
    ]

    private static let privileges: [EngineOption] = [
        .account(
            "user",
            \.user,
            summary: "Become this user at the start, once listeners are bound.",
            tradeOff: "Ports below 1024 without root behind them; what is bound after the start has to do without."
        ),
        .account(
            "group",
            \.group,
            summary: "With --user: be in this group instead of the user's own.",
            tradeOff: "The user's other groups stay; a number that is no user of this machine needs one."
        ),
    ]

    private static let limits: [EngineOption] = [
        .integer(
            "max-connections",
            \.limits.maximumConnections,
            in: 1...10_000_000,
            unlimited: "unlimited",
            summary: "Connections per reactor; more are closed at once.",
            tradeOff: "Protects memory; the process's descriptor limit is raised for it, or the start refused.",
            isCommon: true
        ),
        .size(
            "receive-buffer",
            \.limits.receiveBufferBytes,
            in: 1...(16 << 20),
            summary: "Bytes that one receive asks for at most; one buffer per reactor.",
            tradeOff: "Larger saves calls for bulk data until it falls out of the L2 cache."
        ),
        .size(
            "read-budget",
            \.limits.readBudgetBytes,
            in: 1...(1 << 30),
            summary: "Bytes that one connection may read in a turn; the rest waits for the next.",
            tradeOff: "More favours bulk, less favours fairness between connections."
        ),
        .size(
            "file-budget",
            \.limits.fileBudgetBytes,
            in: 4096...(1 << 30),
            summary: "Bytes of files that one connection may send in a turn; the rest waits for the next.",
            tradeOff: "More favours bulk, less favours fairness; what is not in memory is read in pieces of this size."
        ),
        .size(
            "zero-copy",
            \.limits.zeroCopyBytes,
            in: 4096...(1 << 30),
            unlimited: "never",
            summary: "Chunks of at least so many bytes are sent from where they lie (MSG_ZEROCOPY).",
            tradeOff:
                "Saves a copy where the network card can; costs half as much again where it can't, as on loopback."
        ),
        .integer(
            "datagrams-per-receive",
            \.limits.datagramsPerReceive,
            in: 1...1024,
            summary: "Datagrams that one receive asks for at most, and that leave with one send.",
            tradeOff: "More saves calls under load; each has a buffer of largest-datagram, per reactor with UDP."
        ),
        .size(
            "largest-datagram",
            \.limits.largestDatagramBytes,
            in: 1...65_535,
            summary: "Bytes of the longest datagram; the rest of a longer one is cut off and counted.",
            tradeOff: "Less saves memory; below 65535 B datagrams of one peer do not come in groups."
        ),
        .integer(
            "events-per-wait",
            \.limits.eventsPerWait,
            in: 1...65536,
            summary: "Events that one wait returns at most.",
            tradeOff: "More saves waits with thousands of active connections and makes turns longer."
        ),
        .integer(
            "descriptor-table",
            \.descriptorTableSize,
            in: 1...(1 << 26),
            summary: "Descriptors that the process's table is made for at the start without --max-connections.",
            tradeOff: "8 bytes each; beyond it the kernel doubles the table, and accepts wait 10 to 30 ms for that."
        ),
        .integer(
            "accept-budget",
            \.limits.acceptBudget,
            in: 1...65536,
            summary: "Connections accepted per listener and turn.",
            tradeOff: "More empties the backlog sooner, at the cost of those that are connected."
        ),
        .integer(
            "close-budget",
            \.limits.closeBudget,
            in: 1...65536,
            summary: "Connections closed per turn.",
            tradeOff: "A close takes the kernel 5 to 20 us: thousands at once would stall everybody else."
        ),
        .integer(
            "timer-budget",
            \.limits.timerBudget,
            in: 1...(1 << 30),
            summary: "Timers that fire in a turn; the rest fires in the next.",
            tradeOff: "Less lets input come between thousands of timers that are due at once."
        ),
        .integer(
            "job-budget",
            \.limits.jobBudget,
            in: 1...(1 << 30),
            summary: "Local jobs that run in a turn, as many of other threads, and as many steps of Swift tasks.",
            tradeOff: "Less lets input come between them."
        ),
        .size(
            "write-high-watermark",
            \.limits.writeHighWatermarkBytes,
            in: 2...(1 << 30),
            summary: "Unsent bytes above which a connection stops reading.",
            tradeOff: "More keeps slow peers busy and costs memory for each."
        ),
        .size(
            "write-low-watermark",
            \.limits.writeLowWatermarkBytes,
            in: 0...(1 << 30),
            summary: "Unsent bytes at which it reads again; below the high watermark.",
            tradeOff: "Nearer to the high one means more frequent, smaller pauses."
        ),
        .size(
            "write-limit",
            \.limits.writeLimitBytes,
            in: 3...(1 << 40),
            summary: "Unsent bytes above which a connection is aborted; above the high watermark.",
            tradeOff: "The last defence against a peer that does not read."
        ),
        .size(
            "reactor-write-limit",
            \.limits.reactorWriteLimitBytes,
            in: 3...(1 << 40),
            summary: "Unsent bytes of all connections of a reactor above which the one with the most is aborted.",
            tradeOff: "Bounds what thousands of slow peers can hold together."
        ),
        .size(
            "cork",
            \.limits.corkBytes,
            in: 64...(1 << 20),
            summary: "Bytes that a callback's small writes are gathered in; larger pieces go uncopied.",
            tradeOff: "Larger means fewer sends for protocols that write many pieces."
        ),
    ]

    private static let timeouts: [EngineOption] = [
        .optionalDuration(
            "idle-timeout",
            \.limits.idleTimeout,
            in: .milliseconds(1)...(.seconds(31_536_000)),
            summary: "Close connections that move no byte for so long.",
            tradeOff: "Frees what vanished peers hold; slow peers need more."
        ),
        .duration(
            "close-timeout",
            \.limits.closeTimeout,
            in: .milliseconds(1)...(.seconds(86_400)),
            summary: "Reset a closing connection whose peer has not taken the rest after so long.",
            tradeOff: "Less frees memory sooner, more lets slow peers finish."
        ),
        .optionalDuration(
            "write-progress-timeout",
            \.limits.writeProgressTimeout,
            in: .milliseconds(1)...(.seconds(86_400)),
            summary: "Reset a connection whose peer takes no byte of what waits for so long.",
            tradeOff: "Less frees memory sooner, more forgives stalls."
        ),
        .duration(
            "linger-timeout",
            \.limits.lingerTimeout,
            in: .zero...(.seconds(3600)),
            summary: "After a close, drop input for so long until the peer closes too.",
            tradeOff: "Zero closes at once: a peer that is still sending may lose the last bytes sent to it."
        ),
        .duration(
            "drain-timeout",
            \.drainTimeout,
            in: .zero...(.seconds(86_400)),
            summary: "How long a stop waits for connections before it resets them.",
            tradeOff: "Longer loses less, shorter restarts sooner.",
            isCommon: true
        ),
    ]

    private static let crossCore: [EngineOption] = [
        .duration(
            "idle-spin",
            \.limits.idleSpin,
            in: .zero...(.seconds(1)),
            summary: "Spin so long for events before sleeping.",
            tradeOff: "Saves the 25 to 60 us that waking an idle CPU takes; costs that CPU's time.",
            isCommon: true
        ),
        .flag(
            "poll-mode",
            \.placement.pollMode,
            summary: "Never sleep.",
            tradeOff: "Lowest latency, and every core at 100 %; refused under a CPU quota."
        ),
        .integer(
            "events-per-glance",
            \.limits.eventsPerMailGlance,
            in: 1...65536,
            summary: "Events between two looks for mail of other cores.",
            tradeOff: "Less hands over sooner; a look is one load, and what it finds goes before the next event."
        ),
        .integer(
            "mail-budget",
            \.limits.mailBudget,
            in: 1...(1 << 30),
            summary: "Messages of one sender that are handled at one look.",
            tradeOff: "Less lets input come between floods of mail."
        ),
        .integer(
            "mailbox-capacity",
            \.limits.mailboxCapacity,
            in: 2...(1 << 20),
            summary: "Messages that may wait from one reactor to another; a power of two.",
            tradeOff: "64 bytes each, per pair of reactors that talk; a full one answers .full."
        ),
        .integer(
            "urgent-capacity",
            \.limits.urgentCapacity,
            in: 2...(1 << 16),
            summary: "Urgent messages that may wait from one reactor to another; a power of two.",
            tradeOff: "64 bytes each, per pair of reactors that use it; a full lane answers .full."
        ),
        .integer(
            "inbox-capacity",
            \.limits.inboxCapacity,
            in: 1...(1 << 30),
            summary: "Jobs from other threads that may wait; a full inbox answers .full.",
            tradeOff: "Bounds what a stalled reactor can gather."
        ),
        .integer(
            "blocking-threads",
            \.blocking.maximumThreads,
            in: 1...65536,
            summary: "Threads at most for work that blocks, off the reactors' cores.",
            tradeOff: "More do more at once, and take more from the reactors where cores are shared."
        ),
        .integer(
            "blocking-queue",
            \.blocking.queueCapacity,
            in: 1...(1 << 30),
            summary: "Work that may wait for those threads; more is refused.",
            tradeOff: "Bounds what slow disks or slow others can gather."
        ),
    ]
}
