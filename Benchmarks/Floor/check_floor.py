#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_floor.py: is the floor an echo, and do its clients notice when a server is not?

Asserts correctness, never speed, so it may run on a busy machine: `make check`, half a minute.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import compare
import floor_modes
import servers
from faulty_server import FaultyServer

FOLDER = servers.FOLDER
IO_TIMEOUT = 5
SMALL_SEND_BUFFER = ["env", f"LD_PRELOAD={FOLDER}/build/small_send_buffer.so"]
MODES = list(floor_modes.mode_candidates(servers.workload_named("64x64x1")))


def options(**changes):
    values = {"server_cpus": "none", "client_cpu": -1, "seconds": 0.2, "warmup": 0.1, "json": True,
              "rounds": 1, "limit": None, "counting_limit": 60}
    return argparse.Namespace(**(values | changes))


def floor(*flags, threads=1):
    return servers.Server("floor", servers.floor_command(list(flags), threads))


def load(port, *flags, timeout=60):
    command = [str(servers.LOAD), "--connect", f"127.0.0.1:{port}", "--json", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=IO_TIMEOUT)


def receive_until_end(client):
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


class FloorTests(unittest.TestCase):
    """epoll_echo in every mode."""

    @contextlib.contextmanager
    def serving(self, flags, environment=()):
        with self.subTest(mode=" ".join(flags), environment=environment):
            server = floor(*flags)
            server.command = [*environment, *server.command]
            with servers.running(server, options()) as instance:
                yield instance

    def test_small_and_pipelined_messages_come_back(self):
        for flags in MODES:
            with self.serving(flags) as instance:
                for shape in (["--connections", 64], ["--connections", 5, "--depth", 64, "--size", 512]):
                    done = load(instance.port, *shape, "--duration", 0.1, "--warmup", 0)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_more_than_the_socket_takes_comes_back(self):
        for flags in MODES:
            with self.serving(flags) as instance:
                done = load(instance.port, "--connections", 3, "--size", 777_777, "--depth", 9,
                            "--messages", 100, "--warmup", 0)
                self.assertEqual(done.returncode, 0, done.stderr)
            with self.serving(flags, SMALL_SEND_BUFFER) as instance:
                done = load(instance.port, "--connections", 100, "--size", 5_000, "--depth", 20,
                            "--messages", 10_000, "--warmup", 0)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_half_closed_slow_reader_gets_every_byte(self):
        sent = os.urandom(6_000_000)
        for flags in MODES:
            with self.serving(flags) as instance:
                with connect(instance.port) as client:

                    def send_all(client=client):
                        client.sendall(sent)
                        client.shutdown(socket.SHUT_WR)

                    sender = threading.Thread(target=send_all)
                    sender.start()
                    time.sleep(0.1)  # Both directions are full now.
                    received = receive_until_end(client)
                    sender.join(IO_TIMEOUT)
                self.assertTrue(received == sent, f"{len(received)} of {len(sent)} bytes, or altered")

    def test_bytes_and_the_end_in_one_event_are_answered_and_closed(self):
        # Stopped meanwhile, the server finds both at once. No other event will follow.
        sent = os.urandom(50_000)
        for flags in MODES:
            for environment in ([], SMALL_SEND_BUFFER):
                with self.serving(flags, environment) as instance:
                    with connect(instance.port) as client:
                        client.settimeout(3)
                        client.sendall(b"x")
                        self.assertEqual(client.recv(1), b"x")
                        instance.process.send_signal(signal.SIGSTOP)
                        client.sendall(sent)
                        client.shutdown(socket.SHUT_WR)
                        instance.process.send_signal(signal.SIGCONT)
                        time.sleep(0.05)  # The small send buffer is full now.
                        received = receive_until_end(client)
                    self.assertTrue(received == sent, f"{len(received)} of {len(sent)} bytes, or altered")

    def test_urgent_data_comes_back_in_line(self):
        for flags in MODES:
            with self.serving(flags) as instance:
                with connect(instance.port) as client:
                    client.sendall(b"before")
                    client.send(b"!", socket.MSG_OOB)
                    client.sendall(b"after")
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(receive_until_end(client), b"before!after")

    def test_a_reset_ends_only_its_connection(self):
        for flags in MODES:
            with self.serving(flags) as instance:
                with connect(instance.port) as bystander:
                    victim = connect(instance.port)
                    victim.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        victim.sendall(bytes(20_000_000))  # Until both directions are full.
                    # SO_LINGER with 0 seconds: close sends RST.
                    victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    victim.close()
                    bystander.sendall(b"still here")
                    self.assertEqual(bystander.recv(100), b"still here")

    def test_without_descriptors_it_sheds_and_does_not_spin(self):
        server = floor()
        server.command = ["prlimit", "--nofile=64:64", *server.command]
        with servers.running(server, options()) as instance, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(instance.port)) for _ in range(100)]
            time.sleep(0.2)
            start = cpu_seconds(instance.process.pid)
            time.sleep(0.5)
            self.assertLess(cpu_seconds(instance.process.pid) - start, 0.1)
            clients[0].sendall(b"x")
            self.assertEqual(clients[0].recv(1), b"x")
        self.assertGreater(instance.counters()["shed"], 30)

    def test_threads_share_a_port_and_a_single_one_refuses_a_busy_port(self):
        with servers.running(floor(threads=4), options()) as instance:
            done = load(instance.port, "--duration", 0.2)
            self.assertEqual(done.returncode, 0, done.stderr)
        with servers.running(floor(), options()) as instance:
            second = subprocess.run([servers.FLOOR, "--port", str(instance.port)],
                                    capture_output=True, text=True, timeout=5)
            self.assertEqual(second.returncode, os.EX_UNAVAILABLE, second.stderr)

    def test_its_counters_are_exact(self):
        with servers.running(floor("--trigger", "edge"), options()) as instance:
            done = json.loads(load(instance.port, "--connections", 10, "--messages", 990, "--warmup", 0).stdout)
        self.assertEqual(done["messages_with_warmup"], 1000)
        counters = instance.counters()
        self.assertEqual((counters["send"], counters["send_bytes"]), (1000, 64_000))
        self.assertEqual((counters["recv"], counters["recv_bytes"]), (1010, 64_000))  # 10 ends.
        self.assertEqual((counters["accepts"], counters["closes"]), (10, 10))
        self.assertEqual(counters["epoll_ctl"], 12)  # Listener, stop event, 10 connections.

    def test_it_ends_on_either_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen([servers.FLOOR], stdout=subprocess.PIPE, text=True)
            self.assertIn("listening on", process.stdout.readline())
            process.send_signal(number)
            output, _ = process.communicate(timeout=5)
            self.assertEqual(process.returncode, 0)
            self.assertIsNone(json.loads(output)["messages"])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class LoadTests(unittest.TestCase):
    """echo_load against servers that lie."""

    FAULTS = {
        "mismatch": [
            ("one flipped bit", lambda new, old: new[:-1] + bytes([new[-1] ^ 1])),
            ("two bytes swapped", lambda new, old: new[1::-1] + new[2:]),
            ("an old message again", lambda new, old: old[: len(new)]),
            ("a lost byte, a made-up one", lambda new, old: new[1:] + b"x"),
            ("a message of another connection", lambda new, old: bytes(len(new))),
        ],
        "lost": [("a lost byte", lambda new, old: new[:-1])],
        "surplus": [("a surplus byte", lambda new, old: new + b"x")],
        "closed by the server": [("closed early", lambda new, old: None)],
    }

    def test_every_fault_is_found_and_its_place_is_named(self):
        for words, faults in self.FAULTS.items():
            for name, fault in faults:
                with self.subTest(name), FaultyServer(fault) as server:
                    done = load(server.port, "--connections", 8, "--duration", 5, "--warmup", 0)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertIn(words, done.stderr)
                    self.assertIn("connection 3", done.stderr)

    def test_an_honest_server_passes_and_its_delay_is_the_latency(self):
        with FaultyServer(None, delay=0.02) as server:
            done = load(server.port, "--connections", 2, "--duration", 0.5, "--warmup", 0)
        result = json.loads(done.stdout)
        self.assertGreaterEqual(result["latency_ns"]["p50"], 20_000_000)
        self.assertLess(result["latency_ns"]["p50"], 60_000_000)
        self.assertLessEqual(result["latency_ns"]["p99"], result["latency_ns"]["max"])

    def test_the_servers_cpu_time_is_what_the_scheduler_says(self):
        with servers.running(floor(), options()) as instance:
            pid = instance.process.pid
            done = load(instance.port, "--duration", 0.5, "--warmup", 0, "--server-pid", pid)
            time.sleep(0.05)
            tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
            scheduler_ns = sum(int(task.read_text().split()[0]) for task in tasks)
        result = json.loads(done.stdout)
        measured_ns = result["server_cpu_ns_per_message"] * result["messages"]
        # The scheduler's sum includes starting, the greeting and the end.
        self.assertLessEqual(measured_ns, scheduler_ns)
        self.assertGreater(measured_ns, 0.9 * scheduler_ns)

    def test_it_holds_ten_thousand_connections(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 10_100:
            self.skipTest(f"the hard limit of descriptors is {hard}")
        with servers.running(floor(), options()) as instance:
            done = load(instance.port, "--connections", 10_000, "--messages", 20_000, "--warmup", 0)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(instance.counters()["accepts"], 10_000)

    def test_wrong_usage_is_refused(self):
        for flags in (["--connect", "nowhere"], [], ["--connect", "127.0.0.1:1", "--size", "0"]):
            done = subprocess.run([servers.LOAD, *flags], capture_output=True, text=True, timeout=5)
            self.assertEqual(done.returncode, os.EX_USAGE, flags)
        self.assertEqual(load(1).returncode, os.EX_UNAVAILABLE)


class CompareTests(unittest.TestCase):
    """The statistics, the counting, and what happens to processes."""

    def test_a_figure_is_missed_only_if_the_whole_interval_is(self):
        cost = {"low": 1.02, "high": 1.08}
        self.assertEqual(compare.verdict(cost, 1.10, higher_is_better=False), "reached")
        self.assertEqual(compare.verdict(cost, 1.01, higher_is_better=False), "missed")
        self.assertIn("undecided", compare.verdict(cost, 1.05, higher_is_better=False))
        self.assertEqual(compare.verdict(cost, 1.0, higher_is_better=True), "reached")
        self.assertEqual(compare.verdict(cost, 1.1, higher_is_better=True), "missed")

    def test_the_interval_contains_the_median_and_is_repeatable(self):
        values = [0.97, 1.0, 1.01, 1.02, 1.03, 1.05, 1.2]
        low, high = compare.bootstrap_interval(values)
        self.assertLessEqual(low, 1.02)
        self.assertGreaterEqual(high, 1.02)
        self.assertEqual((low, high), compare.bootstrap_interval(values))

    def test_strace_sees_one_receive_and_one_send_per_echo(self):
        workload = servers.workload_named("4x64x1")
        counts = [compare.strace_counts(floor(), workload, n, options()) for n in (1000, 2000)]
        calls = compare.per_message(*counts, 1000, 2000)
        self.assertEqual((calls["recvfrom"], calls["sendto"]), (1, 1))
        # Accepting takes a call more or less, depending on how many connections wait.
        rare = {name: count for name, count in calls.items() if abs(count) > 0.01}
        self.assertLessEqual(rare.keys(), {"recvfrom", "sendto", "epoll_wait"})

    def test_callgrind_instructions_are_repeatable(self):
        workload = servers.workload_named("1x64x1")
        first, second = (
            [compare.callgrind_counts(floor(), workload, n, options()) for n in (1000, 2000)] for _ in range(2)
        )
        first, second = (compare.per_message(*counts, 1000, 2000)["instructions"] for counts in (first, second))
        self.assertGreater(first, 50)
        self.assertLess(abs(first - second), 0.05 * first)

    def test_the_port_is_found_in_every_way_to_write_an_address(self):
        for address in ("127.0.0.1:7000", "[::1]:7000", "*:7000", "localhost:7000", "tcp [::]:7000 (1 core)"):
            self.assertEqual(servers.LISTENING.search(f"x\nListening on {address}\n").group(1), "7000")

    def test_a_server_that_fails_to_start_is_an_error_with_its_words(self):
        server = servers.Server("broken", ["sh", "-c", "echo no luck; exit 3"])
        with self.assertRaisesRegex(servers.CompareError, "(?s)ended with 3.*no luck"):
            with servers.running(server, options()):
                self.fail("it never listened")

    def test_a_server_that_ignores_sigterm_is_killed(self):
        script = "trap '' TERM; echo listening on 127.0.0.1:1; while :; do sleep 0.1; done"
        server = servers.Server("stubborn", ["sh", "-c", script])
        limit, servers.STOP_LIMIT = servers.STOP_LIMIT, 0.3
        try:
            with contextlib.redirect_stderr(None), servers.running(server, options()) as instance:
                pass
        finally:
            servers.STOP_LIMIT = limit
        self.assertEqual(instance.process.returncode, -signal.SIGKILL)

    def test_the_command_compares_the_floor_with_itself(self):
        done = subprocess.run(
            [sys.executable, FOLDER / "compare.py", "--a", "floor", "--b", "floor", "--rounds", "2",
             "--seconds", "0.1", "--warmup", "0", "--json", "--server-cpus", "none", "--client-cpu", "-1"],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["rounds"]), 2)


class TwinTests(unittest.TestCase):
    """The other twins run, and say what they must."""

    def run_json(self, *command):
        done = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_two_servers_take_turns_and_a_generator_that_fails_says_why(self):
        workload = servers.workload_named("4x64x1")
        rounds = servers.measure([floor(), floor()], workload, options(seconds=0.8))
        self.assertEqual([len(result["slices"]) for result in rounds], [4, 4])
        for result in rounds:
            self.assertGreater(min(turn[servers.RATE] for turn in result["slices"]), 0)
        script = """import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening on 127.0.0.1:" + sys.argv[1], flush=True)
def serve(client):
    while received := client.recv(65536):
        client.sendall(bytes(len(received)))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()"""
        liar = servers.Server("liar", [sys.executable, "-c", script, "{port}"])
        with self.assertRaisesRegex(servers.CompareError, "liar: echo_load ended with 1: echo_load: mismatch"):
            servers.measure([floor(), liar], workload, options(seconds=0.4))

    def test_every_value_of_the_ring_arrives_in_order(self):
        if os.cpu_count() < 2:
            self.skipTest("two threads spin")
        for shape in ([], ["--capacity", 2], ["--batch", 1], ["--batch", 5000], ["--prefetch", 0, "--idle-pauses", 0],
                      ["--publish", "tail"], ["--publish", "tail", "--batch", 5000]):
            result = self.run_json(FOLDER / "build" / "spsc_ring", "--values", 300_000, "--round-trips", 2000,
                                   "--sleeps", 50, "--rounds", 1, *shape)
            self.assertGreater(result["round_trip_target_sleeps_ns"], 0)

    def test_a_storm_closes_all_but_one_connection(self):
        for flags in ([], ["--reset"]):
            with servers.running(floor(), options()) as instance:
                result = self.run_json(servers.STORM, "--connect", f"127.0.0.1:{instance.port}",
                                       "--connections", 1000, "--storms", 2, "--tail", 0.1, *flags)
            self.assertGreater(result["median_worst_echo_us"], 0)
            self.assertEqual(instance.counters()["closes"], 2001)

    def test_the_floors_idle_connections_cost_what_its_table_does(self):
        result = self.run_json(FOLDER / "idle_memory.py", "floor", "--connections", 5000, "--settle", 0.3)
        self.assertLess(result["rss"]["bytes_per_connection"], 100)
        self.assertGreater(result["rss"]["returned_or_reused_share"], 0.8)


if __name__ == "__main__":
    unittest.main(verbosity=1)
