# SPDX-License-Identifier: Apache-2.0
"""figures.py: one figure with its spread and its limit, and how those are measured that no echo server gives."""

import json
import pathlib
import statistics
import subprocess

import compare
import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MICRO = ROOT / "Benchmarks" / ".build" / "release" / "Micro"
NIO_ECHO = MICRO.with_name("NIOEcho")
NIO_EXECUTE = MICRO.with_name("NIOExecute")
RING = servers.FOLDER / "build" / "spsc_ring"
SPINDLE = ROOT / ".build" / "release" / "spindle"
# For callgrind: valgrind 3.19 can read neither this compiler's debug information nor a main thread that has ended
# (as that of a program with an asynchronous `main`), so the example is counted, stripped.
EXAMPLE = ROOT / ".build" / "release" / "EchoExample"
COUNTED = ROOT / ".build" / "EchoExample-stripped"
COUNTED_MICRO = ROOT / ".build" / "Micro-stripped"
BRACKET_TRIES = 5  # Rounds that may be taken for each that is wanted.
LIMIT_SECONDS = 300  # For one run of a program without one of its own.


class Figure:
    """One number with its spread and its limit; `higher` when more is better; no limit: for information."""

    def __init__(self, name, summary, limit=None, higher=False, unit=""):
        self.name, self.limit, self.higher, self.unit = name, limit, higher, unit
        self.median, self.low, self.high = summary["median"], summary["low"], summary["high"]
        self.verdict = "–" if limit is None else compare.verdict(summary, limit, higher)

    def line(self):
        bound = "" if self.limit is None else f"{'≥' if self.higher else '≤'} {self.limit:g}"
        interval = f"{self.low:.4g} – {self.high:.4g}" if self.low != self.high else ""
        return f"{self.name:<46} {self.median:>9.4g} {self.unit:<5} {interval:<19} {bound:<9} {self.verdict}"


def exact(value):
    return {"median": value, "low": value, "high": value}


def spread(values):
    low, high = compare.bootstrap_interval(values)
    return {"median": sorted(values)[len(values) // 2], "low": low, "high": high}


def run_json(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, **options)
    if done.returncode != 0:
        raise servers.CompareError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    # Programs of ours print JSON over many lines, the others on the last.
    text = done.stdout.strip()
    return json.loads(text if text.startswith("{\n") else text.splitlines()[-1])


def micro(name, **flags):
    return run_json([str(MICRO), name] + [word for flag, value in flags.items() for word in (f"--{flag}", str(value))])


def ring(field, **flags):
    small = {"rounds": 1, "values": 1, "round-trips": 1, "sleeps": 1} | flags
    words = [word for flag, value in small.items() for word in (f"--{flag}", str(value))]
    return run_json([str(RING), "--json", *words])[field]


def bracketed(theirs, ours, options):
    """Rounds of (theirs, ours), with theirs measured before and after: a round in which those two differ by a fifth
    is taken again, because the host has moved a CPU in between. None when that goes on for too long."""
    rounds = []
    for _ in range(BRACKET_TRIES * options.rounds):
        before, mine, after = theirs(), ours(), theirs()
        if max(before, after) <= 1.2 * min(before, after):
            rounds.append(((before + after) / 2, mine))
        if len(rounds) == options.rounds:
            return rounds
    return None


def over_fastest_ring(field, flags, ways, ours, options):
    """Rounds beside the C ring in each of its ways; those of the way that does best against ours."""
    rounds = [bracketed(lambda: ring(field, **flags, **way), ours, options) for way in ways]
    if not any(rounds):
        raise servers.CompareError(f"{field}: in no way {options.rounds} rounds without a move of a CPU")
    return min(filter(None, rounds), key=lambda pairs: statistics.median(c / mine for c, mine in pairs))
