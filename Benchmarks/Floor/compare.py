#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py: is server B dearer than server A? Measured in turn, byte for byte verified.

Two figures of one machine taken minutes apart say nothing; two taken a fifth of a second apart, many
times over, do. So each round starts both servers, connects an echo_load to each, and has them work in
turn, A B B A ..., a slice of 0.2 s each; servers pinned to CPU 0, clients to CPU 1. A round's ratio is
the median of B/A over its slices; reported is the median of the rounds with its 95 % bootstrap
interval. A figure is missed only if the whole interval lies beyond the limit; if the interval
contains it, take more rounds.

    compare.py --a floor --b 'spindle=.build/release/spindle echo --cores 1 --listen tcp:port={port}' \\
               --workload 64x64x1 [--rounds 9] [--seconds 2] [--limit 1.05] [--json]
    compare.py ... --callgrind     user-space instructions per echo (repeatable, no spread)
    compare.py ... --strace        system calls per echo, by name
    compare.py ... --mallocs       heap allocations per echo
    compare.py ... --storm         worst echo while 8,000 other connections close at once

A server is 'NAME=COMMAND' (no shell; {port} becomes a free port) or the word `floor`: epoll_echo
with the best flags for the workload, as floor_modes.py found them; see servers.py for what a
server must do.

A workload is CONNECTIONSxSIZExDEPTH, or one of the names in Benchmarks/README.md. With --udp it is of
datagrams, PEERSxSIZExDEPTH, and with a g behind it (4x64x64g) each peer sends them as one message that the kernel
takes apart; what was lost is told. With --files a message is a file of SIZE bytes, which {file} in a command names.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import statistics
import sys
import tempfile
import time

import servers
from servers import CPU, RATE, CompareError, Server

BOOTSTRAP_RESAMPLES = 10_000


# Statistics


def bootstrap_interval(values, resamples=BOOTSTRAP_RESAMPLES):
    """The 95 % interval of the median. Seeded: the same rounds give the same interval."""
    generator = random.Random(1)
    medians = sorted(
        statistics.median(generator.choices(values, k=len(values))) for _ in range(resamples)
    )
    return medians[int(resamples * 0.025)], medians[int(resamples * 0.975) - 1]


def round_ratio(a, b, metric):
    """B over A in one round: of the slices that followed each other, where it has some."""
    slices = zip(a.get("slices", [a]), b.get("slices", [b]))
    return statistics.median(y[metric] / x[metric] for x, y in slices)


def ratio_summary(pairs, metric):
    ratios = [round_ratio(a, b, metric) for a, b in pairs]
    low, high = bootstrap_interval(ratios)
    return {"median": statistics.median(ratios), "low": low, "high": high, "ratios": ratios}


def verdict(summary, limit, higher_is_better):
    low, high = summary["low"], summary["high"]
    if higher_is_better:
        low, high, limit = -high, -low, -limit
    if high <= limit:
        return "reached"
    return "missed" if low > limit else "undecided: more rounds"


# A against B


def compare(server_a, server_b, workload, arguments):
    pairs = []
    if not arguments.json:
        print(f"workload {workload.name}: {arguments.rounds} rounds of {arguments.seconds:g} s, "
              f"server on CPU {arguments.server_cpus}, client on CPU {arguments.client_cpu}")
        print(f"  {'round':>5}  {'CPU ns/message':^27}  {'ratio':>6}  {'messages/s':^23}  {'ratio':>6}")
        a, b = server_a.name[:13], server_b.name[:13]
        print(f"  {'':>5}  {a:>13} {b:>13}  {'':>6}  {a:>11} {b:>11}")
    for number in range(1, arguments.rounds + 1):
        a, b = servers.measure((server_a, server_b), workload, arguments)
        pairs.append((a, b))
        if not arguments.json:
            print(f"  {number:>5}  {a[CPU]:>13.1f} {b[CPU]:>13.1f}  {round_ratio(a, b, CPU):>6.3f}"
                  f"  {a[RATE]:>11.0f} {b[RATE]:>11.0f}  {round_ratio(a, b, RATE):>6.3f}", flush=True)
    result = {
        "workload": workload._asdict(),
        "a": {"name": server_a.name, "command": server_a.command},
        "b": {"name": server_b.name, "command": server_b.command},
        "cpu_ratio": ratio_summary(pairs, CPU),
        "rate_ratio": ratio_summary(pairs, RATE),
        "rounds": [{"a": a, "b": b} for a, b in pairs],
    }
    decisive = result["rate_ratio" if workload.metric == RATE else "cpu_ratio"]
    if arguments.limit is not None:
        result["limit"] = arguments.limit
        result["verdict"] = verdict(decisive, arguments.limit, workload.metric == RATE)
    if arguments.json:
        print(json.dumps(result))
    else:
        print_ratios(result, server_a, server_b, arguments)
    return 1 if result.get("verdict") == "missed" else 0


def print_ratios(result, server_a, server_b, arguments):
    for label, key in [("CPU per message", "cpu_ratio"), ("messages/s", "rate_ratio")]:
        summary = result[key]
        print(f"{label:>16}, {server_b.name} / {server_a.name}: {summary['median']:.3f}"
              f"   95 % interval {summary['low']:.3f} to {summary['high']:.3f}")
    print_calls(result["rounds"])
    clients = [side["client_cpu_share"] for pair in result["rounds"] for side in pair.values()]
    print(f"the client was {100 * min(clients):.0f} to {100 * max(clients):.0f} % busy")
    if arguments.udp:
        lost = [sum(pair[side]["lost"] for pair in result["rounds"]) for side in "ab"]
        print(f"lost datagrams: {lost[0]} and {lost[1]}")
    if "verdict" in result:
        print(f"limit {arguments.limit:g}: {result['verdict']}")


def print_calls(rounds):
    """Both servers' own counts; the waits depend on how fast both sides are, so they are paired."""
    for name in servers.COUNTED_CALLS:
        key = f"{name}_per_message"
        if not all(key in side for pair in rounds for side in pair.values()):
            continue
        a, b = (statistics.median(pair[side][key] for pair in rounds) for side in "ab")
        difference = statistics.median(pair["b"][key] - pair["a"][key] for pair in rounds)
        print(f"{name:>16} per message: {a:.4f} {b:.4f}   median difference {difference:+.4f}")


# Storms of closes


def measure_storms(server, arguments):
    command = [
        str(servers.STORM), "--json",
        "--storms", str(arguments.storms),
        "--connections", str(arguments.storm_connections),
        "--cpu", str(arguments.client_cpu),
    ]
    with servers.running(server, arguments) as instance:
        command += ["--connect", f"127.0.0.1:{instance.port}"]
        result = json.loads(servers.run_client(instance, command, arguments.storms * servers.STORM_LIMIT))
    result["server_counters"] = instance.counters()
    return result


def compare_storms(pair, arguments):
    metric = "median_worst_echo_us"
    pairs = []
    for number in range(1, arguments.rounds + 1):
        a, b = (measure_storms(server, arguments) for server in pair)
        pairs.append((a, b))
        if not arguments.json:
            print(f"round {number}: median of {arguments.storms} worst echoes: "
                  f"{pair[0].name} {a[metric]:.0f} us, {pair[1].name} {b[metric]:.0f} us, "
                  f"ratio {b[metric] / a[metric]:.3f}", flush=True)
    summary = ratio_summary(pairs, metric)
    result = {"a": pair[0].name, "b": pair[1].name, "worst_echo_ratio": summary,
              "rounds": [{"a": a, "b": b} for a, b in pairs]}
    if arguments.limit is not None:
        result["verdict"] = verdict(summary, arguments.limit, higher_is_better=False)
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"worst echo, {pair[1].name} / {pair[0].name}: {summary['median']:.3f}"
              f"   95 % interval {summary['low']:.3f} to {summary['high']:.3f}")
        if "verdict" in result:
            print(f"limit {arguments.limit:g}: {result['verdict']}")
    return 1 if result.get("verdict") == "missed" else 0


# Counted instead of timed: what N2 - N1 more messages cost, so that start and stop cancel out.


def per_message(counts_low, counts_high, low, high):
    names = counts_low.keys() | counts_high.keys()
    return {
        name: (counts_high.get(name, 0) - counts_low.get(name, 0)) / (high - low) for name in names
    }


def callgrind_counts(server, workload, messages, arguments):
    """User-space instructions of one run with exactly `messages` echoes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        # --trace-children stays off: a server that forks is not what this measures.
        wrapper = ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out}"]
        with servers.running(server, arguments, wrapper) as instance:
            servers.run_counted_load(instance, workload, messages, arguments)
        text = out.read_text() if out.exists() else ""
    total = callgrind_total(text)
    if total is None:
        raise servers.ServerError(server, f"callgrind left no totals; it printed:\n{instance.output().strip()}")
    return {"instructions": total}


def callgrind_total(text):
    """The instructions that a callgrind.out file counted, or None."""
    match = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    return int(match.group(1)) if match else None


def malloc_counts(server, workload, messages, arguments):
    """Heap allocations of one run with exactly `messages` echoes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        with servers.running(server, arguments, malloc_counter(out)) as instance:
            servers.run_counted_load(instance, workload, messages, arguments)
        if not out.exists():
            raise servers.ServerError(server, f"left no count of allocations; it printed:\n{instance.output().strip()}")
        return json.loads(out.read_text())


def malloc_counter(out):
    """What a command is prefixed with so that its allocations are counted into the file."""
    return ["env", f"LD_PRELOAD={servers.FOLDER / 'build' / 'count_mallocs.so'}", f"COUNT_MALLOCS={out}"]


def strace_counts(server, workload, messages, arguments):
    """System calls by name of one run with exactly `messages` echoes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        # -D: strace is the child, so that the process we started stays the server. Its summary
        # appears after the server's end.
        wrapper = ["strace", "-D", "-f", "-c", "-U", "calls,errors,name", "-o", str(out), "--"]
        with servers.running(server, arguments, wrapper) as instance:
            servers.run_counted_load(instance, workload, messages, arguments)
        deadline = time.monotonic() + servers.STOP_LIMIT_INSTRUMENTED
        while True:
            text = out.read_text() if out.exists() else ""
            if re.search(r"\btotal$", text, re.MULTILINE):
                break
            if time.monotonic() > deadline:
                raise servers.ServerError(server, f"strace left no summary in {out}")
            time.sleep(0.05)
    counts = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"\s*(\d+)\s+(?:\d+\s+)?([a-z_0-9]+)\s*", line):
            if match.group(2) != "total":
                counts[match.group(2)] = int(match.group(1))
    return counts


def compare_counts(count, pair, workload, arguments):
    low, high = arguments.messages, 2 * arguments.messages
    results = {}
    for server in pair:
        counts = [count(server, workload, messages, arguments) for messages in (low, high)]
        results[server.name] = per_message(*counts, low, high)
    if arguments.json:
        print(json.dumps({"workload": workload._asdict(), "per_message": results}))
        return 0
    print(f"workload {workload.name}: the difference of {high} and {low} messages, per message")
    names = sorted({name for result in results.values() for name in result})
    for name in names:
        values = [result.get(name, 0) for result in results.values()]
        if any(abs(value) >= 0.00005 for value in values):
            columns = "  ".join(f"{value:>14.4f}" for value in values)
            print(f"  {name:>16}  {columns}")
    print(f"  {'':>16}  " + "  ".join(f"{name[:14]:>14}" for name in results))
    return 0


# Files


@contextlib.contextmanager
def file_of(byte_count):
    """The path of a file with so many bytes, of which no two places are alike."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(random.Random(byte_count).randbytes(byte_count))
        file.flush()
        yield file.name


# Arguments


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--a", metavar="SERVER", required=True, help="'NAME=COMMAND' or 'floor'")
    parser.add_argument("--b", metavar="SERVER", required=True, help="'NAME=COMMAND' or 'floor'")
    parser.add_argument("--workload", action="append", help="CxSxD or a name; repeatable")
    servers.add_measuring_arguments(parser)
    parser.add_argument("--udp", action="store_true", help="datagrams: udp_load against both")
    parser.add_argument("--files", action="store_true", help="files: file_load against both")
    parser.add_argument("--limit", type=float, help="the ratio promised; says reached or missed")
    parser.add_argument("--json", action="store_true")
    counted = parser.add_mutually_exclusive_group()
    counted.add_argument("--callgrind", action="store_true", help="instructions per echo")
    counted.add_argument("--strace", action="store_true", help="system calls per echo")
    counted.add_argument("--mallocs", action="store_true", help="heap allocations per echo")
    counted.add_argument("--storm", action="store_true", help="worst echo in a storm of closes")
    parser.add_argument("--storms", type=int, default=10, help="per round (default 10)")
    parser.add_argument("--storm-connections", type=int, default=8000)
    parser.add_argument("--messages", type=int, default=20_000, help="counted: N and 2N (default 20000)")
    parser.add_argument("--counting-limit", type=float, default=300, help="seconds for one counted run")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 1 or arguments.seconds <= 0 or arguments.messages < 1 or arguments.storms < 1:
        parser.error("--rounds, --seconds, --messages and --storms must be positive")
    if arguments.udp and (arguments.callgrind or arguments.strace or arguments.mallocs or arguments.storm):
        parser.error("--udp is timed only")
    if arguments.files and (arguments.udp or arguments.storm):
        parser.error("--files goes with neither --udp nor --storm")
    return arguments


def main(argv):
    arguments = parse_arguments(argv)
    servers.end_on_sigterm()
    with contextlib.ExitStack() as stack:
        return run(arguments, stack)


def run(arguments, stack):
    try:
        servers.require_programs(
            taskset=arguments.server_cpus != "none", valgrind=arguments.callgrind, strace=arguments.strace
        )
        status = 0
        for text in arguments.workload or ["64x64x1"]:
            workload = servers.workload_named(text)
            pair = [Server.parse(text, workload) for text in (arguments.a, arguments.b)]
            if arguments.files:
                arguments.file = stack.enter_context(file_of(workload.size))
            if pair[0].name == pair[1].name:  # A against A: the noise of the machine.
                pair[1].name += "'"
            if arguments.callgrind:
                status |= compare_counts(callgrind_counts, pair, workload, arguments)
            elif arguments.strace:
                status |= compare_counts(strace_counts, pair, workload, arguments)
            elif arguments.mallocs:
                status |= compare_counts(malloc_counts, pair, workload, arguments)
            elif arguments.storm:
                status |= compare_storms(pair, arguments)
            else:
                status |= compare(*pair, workload, arguments)
        return status
    except CompareError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `compare.py ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
