#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_datagrams.py: is the floor of datagrams an echo, and does its client notice when a server is not?

Asserts correctness, never speed: `make check`.
"""

import contextlib
import json
import socket
import subprocess
import threading
import unittest

import servers
from check_floor import options


class DatagramTests(unittest.TestCase):
    """udp_echo in every mode, and udp_load against servers that lie or lose."""

    def load(self, port, *flags):
        command = [str(servers.UDP_LOAD), "--connect", f"127.0.0.1:{port}", "--json", "--duration", "0.2",
                   "--warmup", "0", *map(str, flags)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_every_mode_echoes_every_datagram(self):
        for mode in ("single", "batch", "groups"):
            for wait in ("block", "epoll"):
                server = servers.Server.parse(f"udp-floor:{mode}:{wait}", None)
                with servers.running(server, options()) as instance:
                    for shape in (["--connections", 5], ["--connections", 2, "--depth", 64, "--groups"],
                                  ["--connections", 2, "--depth", 8, "--size", 1400]):
                        done = self.load(instance.port, *shape)
                        self.assertEqual(done.returncode, 0, done.stderr)
                        result = json.loads(done.stdout)
                        self.assertGreater(result["messages"], 0)
                        self.assertEqual(result["lost"], 0, f"{mode} {wait} {shape}")
                self.assertGreater(instance.counters()["messages"], 0)

    def serving(self, answer):
        """A server in this process whose answers to a datagram, by its number, are in a list."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))

        def serve():
            number = 0
            with contextlib.suppress(OSError):
                while True:
                    datagram, peer = server.recvfrom(65536)
                    number += 1
                    for each in answer(number, datagram):
                        server.sendto(each, peer)

        threading.Thread(target=serve, daemon=True).start()
        return server

    def test_wrong_bytes_are_noticed_and_lost_ones_counted(self):
        def lying(number, datagram):
            return [datagram[:-1] + b"?"] if number == 20 else [datagram]

        def cutting(number, datagram):
            return [datagram[:-1]] if number == 20 else [datagram]

        def losing(number, datagram):
            return [] if number in (20, 21, 30) else [datagram]

        def doubling(number, datagram):
            return [datagram, datagram]

        for answer, code, lost in ((lying, 1, None), (cutting, 1, None), (losing, 0, 3), (doubling, 0, 0)):
            server = self.serving(answer)
            done = self.load(server.getsockname()[1], "--connections", 4)
            self.assertEqual(done.returncode, code, done.stderr)
            if lost is not None:
                self.assertEqual(json.loads(done.stdout)["lost"], lost)
            server.close()

    def test_compare_takes_turns_with_datagrams(self):
        pair = [servers.Server.parse(f"udp-floor:{mode}", None) for mode in ("single", "batch")]
        workload = servers.workload_named("2x64x8g")
        results = servers.measure(pair, workload, options(udp=True, seconds=0.4))
        self.assertEqual([result["lost"] for result in results], [0, 0])
        self.assertGreater(min(result[servers.RATE] for result in results), 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
