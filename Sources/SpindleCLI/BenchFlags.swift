// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleLoad
import SpindleSystem

/// The flags that every kind of `spindle bench` has.
struct BenchFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Measure this server instead of starting one.", valueName: "host:port"))
    var connect: String?
    @Option(
        help: ArgumentHelp(
            "Start this server, on CPUs of its own, and measure it; {port} stands for where it is to listen, "
                + "{cores} for how many cores it has. The command has to become the server (a script ends with exec).",
            valueName: "command"
        )
    )
    var server: String?
    @Option(help: "With --connect: the server's process, whose CPU time, memory and context switches are read.")
    var serverPid: Int?
    @Flag(
        help: ArgumentHelp(
            "With --server or --server-pid: count the server's system calls, too. Needs root, and makes each call a "
                + "little slower, so the CPU time is higher."
        )
    )
    var countCalls = false
    @Option(help: "Connections that are open at once, all together.")
    var connections: Int?
    @Option(help: ArgumentHelp("Bytes of a message, as 64, 64..4KiB, or with weights 64:9,16KiB:1.", valueName: "size"))
    var size: String?
    @Option(help: "Messages on the way per connection; with --rate the most, 64 unless given.")
    var depth: Int?
    @Option(help: ArgumentHelp("Messages or connections a second, as 10k or 1.5M: an open loop.", valueName: "rate"))
    var rate: String?
    @Option(
        help: ArgumentHelp(
            "With churn: connections a second that come and go, whatever becomes of them. (default: 1k)",
            valueName: "rate"
        )
    )
    var churnRate: String?
    @Option(
        help: ArgumentHelp("Open loops at rising rates, as 10k..200k: how much can it take?", valueName: "low..high")
    )
    var rateSweep: String?
    @Option(help: ArgumentHelp("With --rate-sweep: the highest p99 with which the server keeps up.", valueName: "time"))
    var p99Limit: String = "10ms"
    @Option(help: ArgumentHelp("How long to measure; with --rate-sweep each rate.", valueName: "time"))
    var duration: String?
    @Option(help: ArgumentHelp("How long to run before that.", valueName: "time"))
    var warmup: String = "1s"
    @Option(help: .hidden)
    var part: String?
    @Flag(help: "Print JSON.")
    var json = false
    @Option(help: ArgumentHelp("Write a page with plots, too: one file that needs no network.", valueName: "file.html"))
    var report: String?

    /// What to do; the address and the number of connections are still to be filled in, where they are not given.
    func plan(_ kind: BenchKind) throws -> LoadPlan {
        try checkServer()
        let pace = try parsePace(kind)
        let size = size ?? kind.size
        guard let sizes = SizesText.parse(size) else {
            throw ValidationError("--size: '\(size)' is not allowed; allowed is \(SizesText.allowed)")
        }
        if kind.isUDP,
            !(LoadPlan.datagramBytes.contains(sizes.smallest) && LoadPlan.datagramBytes.contains(sizes.largest))
        {
            throw ValidationError(
                "--size: '\(size)' is not allowed; allowed with --udp are 8 to 65507 bytes: a datagram says its number"
            )
        }
        if let depth, !(1...65536).contains(depth) || kind.work == .connect && depth != 1 {
            let allowed =
                kind.work == .connect ? "1: a connection carries one message" : "a whole number from 1 to 65536"
            throw ValidationError("--depth: '\(depth)' is not allowed; allowed is \(allowed)")
        }
        if let connections, !(1...LoadPlan.mostConnections).contains(connections) {
            throw ValidationError(
                "--connections: '\(connections)' is not allowed; allowed is a whole number from 1 to 1000000"
            )
        }
        let text = duration ?? (rateSweep == nil ? "10s" : "2s")
        guard let duration = TimeText.parse(text), duration >= .milliseconds(10) else {
            throw ValidationError("--duration: '\(text)' is not allowed; allowed is a time from 10ms on, as 10s")
        }
        guard let warmup = TimeText.parse(warmup) else {
            throw ValidationError("--warmup: '\(warmup)' is not allowed; allowed is a time, as 1s, or 0")
        }
        let plan = LoadPlan(
            work: kind.work,
            address: try target(),
            connections: connections ?? kind.connectionsPerReactor,
            sizes: sizes,
            depth: depth ?? (pace.isOpen && kind.work != .connect ? BenchKind.openLoopDepth : kind.depth),
            pace: pace,
            churn: try parseChurn(kind),
            duration: duration,
            warmup: warmup
        )
        guard plan.bytesOnTheWay <= 1 << 30 else {
            throw ValidationError("--depth × --size: a connection may have 1GiB on the way at most")
        }
        return plan
    }

    /// The rates of a sweep; nil without one.
    func sweep() throws -> RateSweep? {
        guard let rateSweep else { return nil }
        guard rate == nil, let dots = rateSweep.firstRange(of: ".."),
            let low = RateText.parse(String(rateSweep[..<dots.lowerBound])),
            let high = RateText.parse(String(rateSweep[dots.upperBound...])),
            (1...1e9).contains(low), (low...1e9).contains(high)
        else {
            throw ValidationError(
                "--rate-sweep: '\(rateSweep)' is not allowed; allowed are two rates, as 10k..200k, without --rate"
            )
        }
        guard let limit = TimeText.parse(p99Limit), limit > .zero else {
            throw ValidationError("--p99-limit: '\(p99Limit)' is not allowed; allowed is a time, as 10ms")
        }
        return RateSweep(low...high, p99Limit: limit)
    }

    private func parsePace(_ kind: BenchKind) throws -> Pace {
        if let first = try sweep()?.next { return .open(messagesPerSecond: first) }
        if let rate { return .open(messagesPerSecond: try parse(rate, "--rate")) }
        // The rate follows from the connections, which are not all known yet.
        return kind.trickle.map { .open(messagesPerSecond: $0) } ?? .closed
    }

    private func parseChurn(_ kind: BenchKind) throws -> Double? {
        guard let churnRate else { return kind.churn }
        guard kind.churn != nil else { throw ValidationError("--churn-rate is for bench churn") }
        return try parse(churnRate, "--churn-rate")
    }

    private func parse(_ rate: String, _ flag: String) throws -> Double {
        guard let value = RateText.parse(rate), (1...1e9).contains(value) else {
            throw ValidationError("\(flag): '\(rate)' is not allowed; allowed is a number from 1 to 1000M, as 10k")
        }
        return value
    }

    /// Which part of a load this process is; nil when it is all of it.
    func generatorPart() throws -> GeneratorFleet.Part? {
        guard let part else { return nil }
        guard let parsed = GeneratorFleet.Part(part), connect != nil else {
            throw ValidationError("--part: '\(part)' is not allowed; it is for this command's own use")
        }
        return parsed
    }

    /// The command that starts the server to be measured; nil when there is none.
    func serverCommand() throws -> ServerCommandLine? {
        guard let server else { return nil }
        guard let command = ServerCommandLine(server) else {
            throw ValidationError("--server: '\(server)' is not allowed; allowed is \(ServerCommandLine.allowed)")
        }
        return command
    }

    private func checkServer() throws {
        guard server == nil || connect == nil else {
            throw ValidationError("--server starts a server, --connect measures one that runs: give one of them")
        }
        _ = try serverCommand()
        guard !countCalls || server != nil || serverPid != nil else {
            throw ValidationError(
                "--count-calls needs a process to look at: --server, or --connect with --server-pid"
                    + (connect == nil ? " (those of the built-in server are counted anyway)" : "")
            )
        }
        guard let serverPid else { return }
        guard connect != nil else { throw ValidationError("--server-pid is for a server given by --connect") }
        guard ProcessUsage(process: serverPid).read() != nil else {
            throw ValidationError("--server-pid: there is no process \(serverPid)")
        }
    }

    private func target() throws -> SocketAddress {
        try connect.map(ServerAddress.parse) ?? .loopback(port: 0)
    }
}
