#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_relay.py: does the floor of forwarders pass on every byte, and each end?

Asserts correctness, never speed: `make check`.
"""

import random
import socket
import threading
import unittest

import servers
from check_floor import floor, load, options


class RelayTests(unittest.TestCase):
    """relay in both modes, before the floor's echo server."""

    def relays(self, port):
        for mode in ("copy", "splice"):
            for piece in (4096, 65536):
                command = [str(servers.RELAY), "--port", "{port}", "--to", f"127.0.0.1:{port}", "--mode", mode,
                           "--piece", str(piece)]
                yield servers.Server(f"{mode}-{piece}", command)

    def test_every_byte_comes_back(self):
        with servers.running(floor(), options()) as backend:
            for relay in self.relays(backend.port):
                with servers.running(relay, options()) as instance:
                    for shape in ((1, 64, 1), (20, 64, 16), (4, 300_000, 1), (2, 16384, 32)):
                        flags = [f"--{name}={value}" for name, value in zip(("connections", "size", "depth"), shape)]
                        done = load(instance.port, *flags, "--duration=0.2", "--warmup=0")
                        self.assertEqual(done.returncode, 0, f"{relay.name} {shape}: {done.stderr}")
                self.assertGreater(instance.counters()["bytes"], 0)

    def test_an_end_is_passed_on_behind_the_bytes_and_a_slow_reader_gets_all(self):
        data = random.Random(1).randbytes(3_000_000)
        with servers.running(floor(), options()) as backend:
            for relay in self.relays(backend.port):
                with servers.running(relay, options()) as instance:
                    with socket.create_connection(("127.0.0.1", instance.port), timeout=20) as client:
                        sender = threading.Thread(target=self.send_all, args=(client, data))
                        sender.start()
                        received = b""
                        while piece := client.recv(4096):
                            received += piece
                        sender.join()
                        self.assertTrue(received == data, f"{relay.name}: {len(received)} bytes")

    @staticmethod
    def send_all(client, data):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    unittest.main(verbosity=1)
