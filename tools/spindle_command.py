# SPDX-License-Identifier: Apache-2.0
"""What checks of the `spindle` command share: running it, a server of it, and claims that are printed and counted."""

import glob
import os
import pathlib
import re
import signal
import socket
import subprocess

SPINDLE = str(pathlib.Path(__file__).resolve().parent.parent / ".build" / "release" / "spindle")
LIMIT = 60
failures = []


def run(*words, environment=None, stdout=subprocess.PIPE):
    return subprocess.run(
        [SPINDLE, *words], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL,
        env=os.environ | (environment or {}),
    )


def claim(what, holds, shown=""):
    print(("ok   " if holds else "FAIL ") + what)
    if not holds:
        failures.append(what)
        print(f"     {shown}")


def refused(what, words, code, *texts, environment=None):
    done = run(*words, environment=environment)
    said = done.stdout + done.stderr
    claim(what, done.returncode == code and all(text in said for text in texts), f"exit {done.returncode}: {said.strip()}")


class Server:
    """A server on a port of its own, ended by SIGTERM."""

    def __init__(self, *words, kind="echo", listen="tcp:port=0:interface=127.0.0.1"):
        command = [SPINDLE, kind, "--listen", listen, *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if match := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
                self.port = int(match.group(1))
                return
        raise SystemExit(f"{command} ended before it listened: {''.join(self.lines)}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, data):
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while piece := client.recv(65536):
                received += piece
            return received

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=LIMIT)
        self.output = "".join(self.lines) + rest
        return self.process.returncode


def owners(process):
    """What each thread of a process may still do: users and capabilities."""
    threads = [pathlib.Path(name).read_text() for name in glob.glob(f"/proc/{process}/task/*/status")]
    return {(tuple(line.split()[1:]), caps.split()[1])
            for text in threads for line in re.findall("^Uid:.*$", text, re.M) for caps in re.findall("^CapEff:.*$", text, re.M)}
