#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_files.py: does the floor of files send them whole, and does its client notice when a server does not?

Asserts correctness, never speed: `make check`.
"""

import json
import socket
import subprocess
import tempfile
import threading
import unittest

import compare
import servers
from check_floor import options


class FileTests(unittest.TestCase):
    """file_send in every mode, and file_load against servers that lie."""

    def load(self, port, path, *flags):
        command = [str(servers.FILE_LOAD), "--connect", f"127.0.0.1:{port}", "--file", path, "--json",
                   "--duration", "0.2", "--warmup", "0", *map(str, flags)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_every_mode_sends_every_file_whole(self):
        for size in (1, 4096, 300_000, 2_000_000):
            with compare.file_of(size) as path:
                for mode in ("sendfile", "read", "copy", "zerocopy"):
                    server = servers.Server.parse(f"file-floor:{mode}", None)
                    with servers.running(server, options(file=path)) as instance:
                        for shape in (["--connections", 5], ["--connections", 2, "--depth", 8], ["--messages", 40]):
                            done = self.load(instance.port, path, *shape)
                            self.assertEqual(done.returncode, 0, f"{mode} {size} {shape}: {done.stderr}")
                            self.assertGreater(json.loads(done.stdout)["messages"], 0)
                    self.assertGreater(instance.counters()["messages"], 0)

    def test_wrong_missing_and_surplus_bytes_are_noticed(self):
        content = bytes(range(256)) * 40
        answers = {"wrong": content[:-1] + b"?", "surplus": content + b"?", "missing": content[:-1]}
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            for what, answer in answers.items():
                with socket.create_server(("127.0.0.1", 0)) as server:
                    threading.Thread(target=self.answer_once, args=(server, answer), daemon=True).start()
                    done = self.load(server.getsockname()[1], file.name, "--connections", 1)
                    self.assertEqual(done.returncode, 1, f"{what}: {done.stdout} {done.stderr}")

    @staticmethod
    def answer_once(server, answer):
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            connection.sendall(answer)
            connection.recv(1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
