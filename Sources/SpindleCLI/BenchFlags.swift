// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleLoad
import SpindleSystem

/// The flags that every kind of `spindle bench` has.
struct BenchFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Measure this server instead of starting one.", valueName: "host:port"))
    var connect: String?
    @Option(help: "With --connect: the server's process, whose CPU time, memory and context switches are read.")
    var serverPid: Int?
    @Option(help: "Connections that are open at once, all together.")
    var connections: Int?
    @Option(help: ArgumentHelp("Bytes of a message, as 64, 64..4KiB, or with weights 64:9,16KiB:1.", valueName: "size"))
    var size: String?
    @Option(help: "Messages on the way per connection; with --rate the most, 64 unless given.")
    var depth: Int?
    @Option(help: ArgumentHelp("Messages or connections a second, as 10k or 1.5M: an open loop.", valueName: "rate"))
    var rate: String?
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
    @Flag(help: "Print JSON.")
    var json = false
    @Option(help: ArgumentHelp("Write a page with plots, too: one file that needs no network.", valueName: "file.html"))
    var report: String?

    /// What to do; the address and the number of connections are still to be filled in, where they are not given.
    func plan(_ kind: BenchKind) throws -> LoadPlan {
        try checkServerPid()
        let pace = try parsePace()
        let size = size ?? kind.size
        guard let sizes = SizesText.parse(size) else {
            throw ValidationError("--size: '\(size)' is not allowed; allowed is \(SizesText.allowed)")
        }
        if let depth, !(1...65536).contains(depth) || kind.work == .connect && depth != 1 {
            let allowed =
                kind.work == .connect ? "1: a connection carries one message" : "a whole number from 1 to 65536"
            throw ValidationError("--depth: '\(depth)' is not allowed; allowed is \(allowed)")
        }
        if let connections, !(1...1_000_000).contains(connections) {
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
            depth: depth ?? (pace.isOpen && kind.work == .echo ? BenchKind.openLoopDepth : kind.depth),
            pace: pace,
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

    private func parsePace() throws -> Pace {
        if let first = try sweep()?.next { return .open(messagesPerSecond: first) }
        guard let rate else { return .closed }
        guard let value = RateText.parse(rate), (1...1e9).contains(value) else {
            throw ValidationError("--rate: '\(rate)' is not allowed; allowed is a number from 1 to 1000M, as 10k")
        }
        return .open(messagesPerSecond: value)
    }

    private func checkServerPid() throws {
        guard let serverPid else { return }
        guard connect != nil else { throw ValidationError("--server-pid is for a server given by --connect") }
        guard ProcessUsage(process: serverPid).read() != nil else {
            throw ValidationError("--server-pid: there is no process \(serverPid)")
        }
    }

    private func target() throws -> SocketAddress {
        guard let connect else { return .loopback(port: 0) }
        guard let colon = connect.lastIndex(of: ":"), let port = UInt16(connect[connect.index(after: colon)...]),
            port > 0
        else {
            throw ValidationError(
                "--connect: '\(connect)' is not allowed; allowed is an address and a port, as 127.0.0.1:7000"
            )
        }
        var host = String(connect[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard let address = SocketAddress(numericHost: host, port: port) else {
            throw ValidationError("--connect: '\(host)' is no numeric address; names are not looked up")
        }
        return address
    }
}
