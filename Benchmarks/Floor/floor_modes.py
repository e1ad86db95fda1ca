#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""floor_modes.py: which way of writing a C echo is the fastest, for each canonical workload?

Tries every mode of epoll_echo (level or edge triggering, how long to read, when to send, events
per wait), first all in turn for a short while, then the best few for longer, and saves the
winners' flags to best_modes.json, which is what `floor` means in compare.py. Streaming is judged
by messages/s, everything else by the server's CPU time per message.

    floor_modes.py [--workload 64x64x1 ...] [--rounds 9] [--seconds 2]

All workloads take about a quarter of an hour. Run it on a quiet machine, and again when the
kernel or the machine changes. best_modes.json also holds every figure that led to the choice.
"""

import argparse
import json
import statistics
import sys

import servers


def mode_candidates(workload):
    """Every mode that is an echo. More events than connections never arrive, so fewer sizes do."""
    sizes = [size for size in (64, 256, 1024) if size == 64 or size / 4 < workload.connections]
    for trigger in ("level", "edge"):
        for read in ("until-short", "until-eagain", "once"):
            if trigger == "edge" and read == "once":
                continue  # Would lose bytes.
            for send in ("inline", "batch"):
                for size in sizes:
                    yield ["--trigger", trigger, "--read", read, "--send", send, "--events", str(size)]


def floor_modes(workload, arguments):
    """Two stages: all modes in turn for a short while, then the best few for longer."""
    sign = -1 if workload.metric == servers.RATE else 1

    def median_of(rounds):
        return statistics.median(result[workload.metric] for result in rounds)

    def run_in_turn(modes, rounds, seconds):
        results = {tuple(flags): [] for flags in modes}
        for _ in range(rounds):
            for flags in modes:
                server = servers.Server(" ".join(flags), servers.floor_command(flags))
                results[tuple(flags)] += servers.measure([server], workload, arguments, seconds)
        return sorted(results.items(), key=lambda item: sign * median_of(item[1]))

    first = run_in_turn(list(mode_candidates(workload)), arguments.first_rounds, arguments.first_seconds)
    finalists = [list(flags) for flags, _ in first[: arguments.finalists]]
    final = run_in_turn(finalists, arguments.rounds, arguments.seconds)
    print(f"workload {workload.name}, by {workload.metric}:")
    for flags, rounds in final + first[arguments.finalists :]:
        print(f"  {median_of(rounds):>12.1f}  {' '.join(flags)}")
    sys.stdout.flush()
    return {
        "flags": list(final[0][0]),
        "metric": workload.metric,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "finalists": [{"flags": list(flags), "median": median_of(rounds)} for flags, rounds in final],
        "all": [{"flags": list(flags), "median": median_of(rounds)} for flags, rounds in first],
    }


def find(arguments):
    workloads = [servers.workload_named(text) for text in arguments.workload or servers.WORKLOADS]
    document = {"machine": "", "workloads": {}}
    if servers.BEST_MODES.exists():
        document = json.loads(servers.BEST_MODES.read_text())
    document["machine"] = servers.machine_description()
    for workload in workloads:
        document["workloads"][workload.name] = floor_modes(workload, arguments)
        # After each workload: an interrupted search keeps what it found.
        partial = servers.BEST_MODES.with_suffix(".tmp")
        partial.write_text(json.dumps(document, indent=2) + "\n")
        partial.replace(servers.BEST_MODES)
    print(f"saved to {servers.BEST_MODES}")
    return 0


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", action="append", help="CxSxD or a name; repeatable")
    servers.add_measuring_arguments(parser)
    parser.add_argument("--first-rounds", type=int, default=3, help="of every mode (default 3)")
    parser.add_argument("--first-seconds", type=float, default=0.5, help="each (default 0.5)")
    parser.add_argument("--finalists", type=int, default=4, help="go on to --rounds x --seconds")
    arguments = parser.parse_args(argv)
    servers.end_on_sigterm()
    try:
        servers.require_programs(taskset=arguments.server_cpus != "none")
        return find(arguments)
    except servers.CompareError as error:
        print(f"floor_modes.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
