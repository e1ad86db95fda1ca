# SPDX-License-Identifier: Apache-2.0
"""servers.py: the canonical workloads, and servers under test: named, started, loaded, ended.

Shared by compare.py, floor_modes.py, idle_memory.py, check_floor.py and bench-floor.

A server is 'NAME=COMMAND' (no shell; {port} becomes a free port) or the word `floor`: epoll_echo
with the flags that best_modes.json names for the workload (`floor:4` for four threads), or `udp-floor:MODE`:
udp_echo in a mode of its (`udp-floor:batch:epoll`, say), or `file-floor:MODE`: file_send in a mode of its. It must
print `listening on ADDRESS:PORT` on a line of stdout or stderr, and end on SIGTERM. If it prints a
line of JSON at its end, the counters recv, send, epoll_wait and epoll_ctl in it are reported.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent
FLOOR = FOLDER / "build" / "epoll_echo"
LOAD = FOLDER / "build" / "echo_load"
STORM = FOLDER / "build" / "storm_load"
UDP_FLOOR = FOLDER / "build" / "udp_echo"
UDP_LOAD = FOLDER / "build" / "udp_load"
FILE_FLOOR = FOLDER / "build" / "file_send"
FILE_LOAD = FOLDER / "build" / "file_load"
RELAY = FOLDER / "build" / "relay"
BEST_MODES = FOLDER / "best_modes.json"

# Limits, in seconds. Whatever takes longer is an error with a name, never a hang.
START_LIMIT = 30
START_LIMIT_INSTRUMENTED = 120
STOP_LIMIT = 5
STOP_LIMIT_INSTRUMENTED = 60
STORM_LIMIT = 60  # For one storm: opening, closing, tail.
LOAD_OVERHEAD_LIMIT = 120  # Connecting, greeting, draining: on top of warm-up and measuring.

# A turn of one server, in seconds.
SLICE = 0.2

# The look-behind keeps the colons of [::1]:7000 from passing as the one before the port.
LISTENING = re.compile(r"listening on [^\n]*?(?<=[\]\w.*]):(\d+)\b", re.IGNORECASE)
# Reported per message for servers that print their counters as a line of JSON at their end.
COUNTED_CALLS = ("recv", "send", "epoll_wait", "epoll_ctl")

Workload = collections.namedtuple("Workload", "name connections size depth metric")

# What decides: CPU per message where the server's cost is asked for, the rate for streaming.
CPU, RATE = "server_cpu_ns_per_message", "messages_per_second"
WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("64x64x1", 64, 64, 1, CPU),
        Workload("64x64x16", 64, 64, 16, CPU),
        Workload("16x16384x1", 16, 16384, 1, CPU),
        Workload("5000x64x1", 5000, 64, 1, CPU),
        Workload("4x512x64", 4, 512, 64, RATE),
    ]
}
WORKLOAD_NAMES = {
    "pingpong": "64x64x1",
    "pipelined": "64x64x16",
    "large": "16x16384x1",
    "many": "5000x64x1",
    "stream": "4x512x64",
}


class CompareError(Exception):
    """Something that the reader can act on; its text is all that is printed."""


class ServerError(CompareError):
    """It is one server's fault."""

    def __init__(self, server, text):
        super().__init__(f"{server.name}: {text}")
        self.server = server


def workload_named(text):
    text = WORKLOAD_NAMES.get(text, text)
    if text in WORKLOADS:
        return WORKLOADS[text]
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)(g?)", text)
    if not match or not all(int(part) for part in match.groups()[:3]):
        known = ", ".join([*WORKLOAD_NAMES, *WORKLOADS])
        raise CompareError(f"workload {text}: expected CONNECTIONSxSIZExDEPTH or one of {known}")
    return Workload(text, *map(int, match.groups()[:3]), CPU)


# Servers


class Server:
    """How to start one of the two servers, and what to call it."""

    def __init__(self, name, command):
        self.name = name
        self.command = command

    @staticmethod
    def parse(text, workload):
        if match := re.fullmatch(r"floor(?::(\d+))?", text):
            threads = int(match.group(1) or 1)
            return Server(text, floor_command(best_flags(workload), threads))
        if match := re.fullmatch(r"udp-floor:(single|batch|groups)(?::(block|epoll))?", text):
            mode, wait = match.groups(default="block")
            return Server(text, [str(UDP_FLOOR), "--port", "{port}", "--mode", mode, "--wait", wait])
        if match := re.fullmatch(r"file-floor:(sendfile|read|copy|zerocopy)", text):
            return Server(text, [str(FILE_FLOOR), "--port", "{port}", "--file", "{file}", "--mode", match.group(1)])
        name, separator, command = text.partition("=")
        if not separator or not re.fullmatch(r"[\w.+-]+", name) or not command.strip():
            raise CompareError(f"server {text!r}: expected 'NAME=COMMAND' or 'floor'")
        return Server(name, shlex.split(command))


def floor_command(flags, threads=1):
    command = [str(FLOOR), "--port", "{port}", *flags]
    return command + (["--threads", str(threads)] if threads > 1 else [])


def best_flags(workload):
    """The floor's flags for a workload; its defaults where floor-modes was not asked."""
    if not BEST_MODES.exists():
        return []
    return json.loads(BEST_MODES.read_text())["workloads"].get(workload.name, {}).get("flags", [])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin_prefix(cpus):
    """Pins, and ties the server's life to ours; both programs exec, so the pid stays the server's."""
    prefix = []
    if shutil.which("setpriv"):
        prefix += ["setpriv", "--pdeathsig", "KILL"]
    if cpus != "none":
        prefix += ["taskset", "-c", cpus]
    return prefix


@contextlib.contextmanager
def running(server, arguments, wrapper=()):
    """Starts a server, yields a Running, ends it with SIGTERM (SIGKILL after a while)."""
    instrumented = bool(wrapper)
    names = {"{port}": str(free_port()), "{file}": getattr(arguments, "file", None) or "{file}"}
    command = [re.sub(r"\{(port|file)\}", lambda match: names[match.group()], part) for part in server.command]
    command = [*pin_prefix(arguments.server_cpus), *wrapper, *command]
    with tempfile.TemporaryFile("w+b") as output:
        # A file, not a pipe: no server is ever blocked by us not reading.
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except OSError as error:
            raise ServerError(server, f"cannot start {command[0]}: {error.strerror}") from error
        instance = Running(server, process, output)
        try:
            instance.wait_until_listening(START_LIMIT_INSTRUMENTED if instrumented else START_LIMIT)
            yield instance
        finally:
            instance.stop(STOP_LIMIT_INSTRUMENTED if instrumented else STOP_LIMIT)


class Running:
    """A started server. Ended only through its own process handle."""

    def __init__(self, server, process, output):
        self.server = server
        self.process = process
        self._output = output
        self._last_output = None  # What the file held when the server had ended.
        self.port = None

    def output(self):
        if self._last_output is not None:
            return self._last_output
        # pread: the offset of the descriptor belongs to the server that writes.
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def wait_until_listening(self, limit):
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if match := LISTENING.search(self.output()):
                self.port = int(match.group(1))
                return
            if self.process.poll() is not None:
                raise ServerError(
                    self.server,
                    f"ended with {self.process.returncode} before it listened:\n{self.output().strip()}",
                )
            time.sleep(0.01)
        raise ServerError(
            self.server,
            f"no line `listening on ADDRESS:PORT` within {limit} s; it printed:\n{self.output().strip()}",
        )

    def stop(self, limit):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"{self.server.name}: did not end on SIGTERM in {limit} s, killed", file=sys.stderr)
            self.process.kill()
            self.process.wait()
        self._last_output = self.output()

    def last_lines(self):
        return "\n".join(f"  server: {line}" for line in self.output().strip().splitlines()[-10:])

    def counters(self):
        """The line of JSON that the server printed at its end, if it did."""
        for line in reversed(self.output().splitlines()):
            with contextlib.suppress(json.JSONDecodeError):
                if isinstance(value := json.loads(line), dict):
                    return value
        return None


# Load


def run_client(instance, command, limit):
    """Runs one of the C clients against a server; its stdout, or an error that quotes both."""
    client = pathlib.Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise ServerError(instance.server, f"{client} took more than {limit} s") from error
    if done.returncode != 0:
        raise ServerError(
            instance.server,
            f"{client} ended with {done.returncode}: {done.stderr.strip()}\n{instance.last_lines()}",
        )
    return done.stdout


def load_command(instance, workload, arguments, *, seconds, warmup, with_cpu=True):
    is_udp = getattr(arguments, "udp", False)
    file = getattr(arguments, "file", None)
    command = [
        str(UDP_LOAD if is_udp else FILE_LOAD if file else LOAD), "--json",
        "--connect", f"127.0.0.1:{instance.port}",
        "--connections", str(workload.connections),
        *(["--file", file] if file else ["--size", str(workload.size)]),
        "--depth", str(workload.depth),
        "--duration", str(seconds),
        "--warmup", str(warmup),
        "--cpu", str(arguments.client_cpu),
    ]
    if is_udp and workload.name.endswith("g"):
        command.append("--groups")
    return command + (["--server-pid", str(instance.process.pid)] if with_cpu else [])


def run_counted_load(instance, workload, messages, arguments):
    """Exactly so many messages, untimed."""
    limit = arguments.counting_limit
    command = load_command(instance, workload, arguments, seconds=limit, warmup=0, with_cpu=False)
    run_client(instance, [*command, "--messages", str(messages)], limit + LOAD_OVERHEAD_LIMIT)


class Load:
    """A load generator that stays connected to a server and measures a slice of time when told to."""

    def __init__(self, instance, workload, arguments):
        self.instance = instance
        command = load_command(instance, workload, arguments, seconds=SLICE, warmup=arguments.warmup)
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [*command, "--slices"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def slice(self):
        with contextlib.suppress(BrokenPipeError):  # Ended: it has said why.
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], LOAD_OVERHEAD_LIMIT)
        if not ready:
            raise ServerError(self.instance.server, f"echo_load took more than {LOAD_OVERHEAD_LIMIT} s")
        if line := self._process.stdout.readline():
            return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        raise ServerError(
            self.instance.server,
            f"echo_load ended with {code}: {self._errors.read().strip()}\n{self.instance.last_lines()}",
        )

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def measure(under_test, workload, arguments, seconds=None):
    """One round: fresh processes, all connected; slices of time in turn. A result for each server.

    The turns are short because a virtual machine's CPUs are moved about by its host every few seconds, and
    then everything between them costs up to four times as much: both servers have to meet that alike. The
    order is turned round each time (A B, B A), so that a drift cancels out.
    """
    with contextlib.ExitStack() as stack:
        instances = [stack.enter_context(running(server, arguments)) for server in under_test]
        loads = [stack.enter_context(contextlib.closing(Load(each, workload, arguments))) for each in instances]
        slices = [[] for _ in loads]
        for load in loads:
            load.slice()  # Waits until this one is connected and warm; not counted.
        for number in range(max(1, round((seconds or arguments.seconds) / SLICE))):
            order = range(len(loads)) if number % 2 == 0 else reversed(range(len(loads)))
            for index in order:
                slices[index].append(loads[index].slice())
    return [summary(instance, taken) for instance, taken in zip(instances, slices)]


def summary(instance, slices):
    """A round of one server: the medians of its slices, and what the server itself counted."""
    result = {name: statistics.median(each[name] for each in slices) for name in (CPU, RATE, "client_cpu_share")}
    result["slices"] = [{name: each[name] for name in (CPU, RATE)} for each in slices]
    if "lost" in slices[0]:
        result["lost"] = sum(each["lost"] for each in slices)
    result["server_counters"] = instance.counters()
    if counters := result["server_counters"]:
        for name in COUNTED_CALLS:
            if name in counters:
                result[f"{name}_per_message"] = counters[name] / slices[-1]["messages_with_warmup"]
    return result


# The machine


def machine_description():
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = match.group(1) if match else model
    return f"{model}, {os.cpu_count()} CPUs, Linux {os.uname().release}"


# Commands


def add_measuring_arguments(parser):
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured per round (default 2)")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds before (default 0.5)")
    parser.add_argument("--server-cpus", default="0", help="a taskset list, or none (default 0)")
    parser.add_argument("--client-cpu", type=int, default=1, help="-1: not pinned (default 1)")


def require_programs(**is_needed):
    for program in (FLOOR, LOAD, STORM, UDP_FLOOR, UDP_LOAD, FILE_FLOOR, FILE_LOAD, RELAY):
        if not program.exists():
            raise CompareError(f"{program} is missing: run `make -C {FOLDER}`")
    for program, needed in is_needed.items():
        if needed and not shutil.which(program):
            raise CompareError(f"{program} is not installed (apt install util-linux valgrind strace)")


def end_on_sigterm():
    """A SIGTERM to us must end the server too: leave through the context managers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
