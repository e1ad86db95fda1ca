# SPDX-License-Identifier: Apache-2.0
"""matrix.py: what is measured of each peer. A unit measures one thing of all peers, in turn; a run is a list of units.

A unit's values are lists, one value per lap: those of one lap were taken one after the other, within seconds, and are
what ratios are made of. A peer that fails is left out of that unit, with what it said; the others go on.
"""

import contextlib
import json
import statistics
import subprocess
import types

import compare
import idle_memory
import servers
from peers import SPINDLE

# Bytes on their way when streaming: per connection, and over all of them.
STREAM_CONNECTION_BYTES, STREAM_BYTES = 256 << 10, 64 << 20
STREAM_DEPTHS = 2, 64
LOAD_LIMIT = 120  # Seconds for one run of the load generator.


class Unit:
    """One thing that is measured: `measure(peers, options, errors)` gives {peer: {metric: [values]}}."""

    def __init__(self, name, group, measure, in_quick=True):
        self.name, self.group, self.measure, self.in_quick = name, group, measure, in_quick


def stream_depth(connections, size):
    least, most = STREAM_DEPTHS
    return max(least, min(most, STREAM_CONNECTION_BYTES // size, STREAM_BYTES // (size * connections)))


def surviving(peers, measure, errors):
    """What `measure` gives; when a peer fails, again without it."""
    while peers:
        try:
            return measure(peers)
        except servers.ServerError as error:
            errors[error.server.name] = str(error)
            print(f"  left out: {str(error).splitlines()[0]}", flush=True)
            peers = [peer for peer in peers if peer.name != error.server.name]
    return {}


def echo(connections, size, depth):
    workload = servers.Workload(f"{connections}x{size}x{depth}", connections, size, depth, servers.CPU)

    def measure(peers, options, errors):
        values = {}

        def one_round(running):
            parsed = [server_of(peer, workload) for peer in running]
            return dict(zip((peer.name for peer in running), servers.measure(parsed, workload, options)))

        for _ in range(options.rounds):
            still = [peer for peer in peers if peer.name not in errors]
            for name, result in surviving(still, one_round, errors).items():
                of_peer = values.setdefault(name, {"messages_per_second": [], "cpu_ns": [], "client_share": []})
                of_peer["messages_per_second"] += [each[servers.RATE] for each in result["slices"]]
                of_peer["cpu_ns"] += [each[servers.CPU] for each in result["slices"]]
                of_peer["client_share"].append(result["client_cpu_share"])
        return values

    return measure


def server_of(peer, workload=servers.workload_named("pingpong")):
    text = peer.command if peer.name == peer.command else f"{peer.name}={peer.command}"
    return servers.Server.parse(text, workload)


def in_laps(laps, take):
    """Each lap all peers once, each with a server of its own that is there from the beginning."""

    def measure(peers, options, errors):
        def all_laps(running):
            values = {peer.name: {} for peer in running}
            with contextlib.ExitStack() as stack:
                instances = [stack.enter_context(servers.running(server_of(peer), options)) for peer in running]
                for number in range(laps(options)):
                    for instance in instances if number % 2 == 0 else reversed(instances):
                        for metric, value in take(instance, options).items():
                            values[instance.server.name].setdefault(metric, []).append(value)
            return values

        return surviving(peers, all_laps, errors)

    return measure


def bench(instance, options, kind, *flags):
    """`spindle bench` at a running server, on the client's CPU: what it printed."""
    pin = servers.pin_prefix(str(options.client_cpu))
    where = ["--connect", f"127.0.0.1:{instance.port}", "--server-pid", str(instance.process.pid)]
    command = [*pin, str(SPINDLE), "bench", kind, *where, "--json", *flags]
    said = servers.run_client(instance, command, LOAD_LIMIT)
    try:
        return json.loads(said)
    except ValueError as error:
        raise servers.ServerError(instance.server, f"spindle bench printed no JSON: {error}") from error


def paced(connections, size):
    """The 99th percentile at half of the rate at which the floor can be driven, counted from when each was due."""

    def measure(peers, options, errors):
        workload = servers.Workload(f"{connections}x{size}x1", connections, size, 1, servers.CPU)
        [floor] = servers.measure([servers.Server.parse("floor", workload)], workload, options)
        rate = floor[servers.RATE] / 2
        print(f"  {rate:,.0f} messages a second", flush=True)
        shape = ["--connections", str(connections), "--size", str(size), "--rate", f"{rate:.0f}"]
        timing = ["--duration", f"{options.seconds * 1000:.0f}ms", "--warmup", "200ms"]

        def take(instance, options):
            result = bench(instance, options, "echo", *shape, *timing)
            return {
                "p99_us": result["latencyNanoseconds"]["p99"] / 1000,
                "kept_up_share": result["messagesPerSecond"] / rate,
            }

        return in_laps(lambda options: options.laps, take)(peers, options, errors)

    return measure


def connecting(instance, options):
    result = bench(instance, options, "connect", "--connections", "64", "--duration", f"{options.seconds * 500:.0f}ms")
    return {"connections_per_second": result["messagesPerSecond"], "cpu_ns": result["serverCPUNanosecondsPerMessage"]}


def one_by_one(take):
    """A server at a time, for what needs the whole machine; `take(server, options)` gives its metrics."""

    def measure(peers, options, errors):
        values = {}
        for peer in peers:
            print(f"  {peer.name}", flush=True)
            taken = surviving([peer], lambda alone: {alone[0].name: take(server_of(alone[0]), options)}, errors)
            values |= {name: {key: [value] for key, value in of.items()} for name, of in taken.items()}
        return values

    return measure


def idle(server, options):
    arguments = types.SimpleNamespace(connections=options.idle_connections, settle=0.5, server_cpus=options.server_cpus)
    rss = idle_memory.measure(server, arguments)["rss"]
    return {
        "bytes_per_connection": rss["bytes_per_connection"],
        "held_after_closing": rss["bytes_per_connection"] * (1 - rss["returned_share"]),
        "reused_share": rss["reused_share"],
    }


def storm(server, options):
    worst = statistics.median(
        compare.measure_storms(server, options)["median_worst_echo_us"] for _ in range(options.storm_rounds)
    )
    return {"worst_echo_us": worst}


SIZES, CONNECTIONS = (64, 512, 16384), (1, 64, 1000, 10_000)
QUICK = {"pingpong-64x64", "pingpong-64x512", "pingpong-1000x64", "stream-4x512"}


def all_units():
    shapes = [(connections, size) for connections in CONNECTIONS for size in SIZES]
    units = [
        Unit(name := f"pingpong-{connections}x{size}", "pingpong", echo(connections, size, 1), name in QUICK)
        for connections, size in [*shapes, (100, 512)]
    ]
    units += [
        Unit(
            name := f"stream-{connections}x{size}",
            "stream",
            echo(connections, size, stream_depth(connections, size)),
            name in QUICK,
        )
        for connections, size in [*shapes, (4, 512)]
    ]
    return units + [
        Unit("rate-64x512", "rate", paced(64, 512)),
        Unit("rate-1000x64", "rate", paced(1000, 64), in_quick=False),
        Unit("connect", "connect", in_laps(lambda options: options.laps, connecting)),
        Unit("idle", "idle", one_by_one(idle)),
        Unit("storm", "storm", one_by_one(storm), in_quick=False),
    ]


ERRORS = servers.CompareError, subprocess.TimeoutExpired
