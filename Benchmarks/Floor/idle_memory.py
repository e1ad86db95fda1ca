#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""idle_memory.py: what does an idle connection cost a server in resident memory?

Opens 10,000 connections, has each echo one byte, lets them idle, and compares the server's
resident memory with what it was after a small warm-up. Then closes them, looks again, and opens
the same number a second time: memory that was not given back must at least be reused.

    idle_memory.py floor 'spindle=.build/release/spindle echo --cores 1 --listen tcp:port={port}'
                   [--connections 10000] [--settle 2] [--json]

Servers are written as in compare.py. Rss is what `ps` shows; Pss does not count pages shared with
other processes twice. Only user memory: the kernel's own per socket (some KiB) is the same for all.
"""

import argparse
import json
import pathlib
import re
import resource
import socket
import sys
import time

import servers

WARMUP_CONNECTIONS = 64
CONNECTIONS_PER_SOURCE = 4000  # As in client.h: earlier ports are in TIME_WAIT.
IO_TIMEOUT = 10  # Seconds for one connect or echo.
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; not in Python's socket module before 3.12.


class Clients:
    """Connections that each echoed one byte, from as many loopback addresses as needed."""

    def __init__(self, port):
        self._port = port
        self._opened = 0
        self._sockets = []

    def open(self, count):
        for _ in range(count):
            client = socket.socket()
            client.settimeout(IO_TIMEOUT)
            client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((f"127.0.0.{2 + self._opened // CONNECTIONS_PER_SOURCE % 250}", 0))
            client.connect(("127.0.0.1", self._port))
            self._sockets.append(client)
            self._opened += 1
        for client in self._sockets:
            client.sendall(b"x")
        for client in self._sockets:
            if client.recv(1) != b"x":
                raise servers.CompareError("an idle connection did not echo its byte")

    def close(self):
        for client in self._sockets:
            client.close()
        self._sockets.clear()


def raise_descriptor_limit():
    """The server inherits it, like from a shell that was set up for many connections. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def resident_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {
        name: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024
        for name in ("Rss", "Pss")
    }


def measure(server, arguments):
    samples = {}
    with servers.running(server, arguments) as instance:
        clients = Clients(instance.port)

        def sample(name):
            time.sleep(arguments.settle)
            samples[name] = resident_bytes(instance.process.pid)

        try:
            clients.open(WARMUP_CONNECTIONS)
            clients.close()
            sample("before")
            for wave in ("first", "second"):
                clients.open(arguments.connections)
                sample(f"{wave} wave open")
                clients.close()
                sample(f"{wave} wave closed")
        except (OSError, servers.CompareError) as error:
            raise servers.ServerError(server, f"{error}; it printed:\n{instance.output()}") from error
        finally:
            clients.close()
    return summary(server, samples, arguments.connections)


def summary(server, samples, connections):
    result = {"name": server.name, "command": server.command, "connections": connections, "samples": samples}
    for kind in ("Rss", "Pss"):
        before, full, closed, full_again = (
            samples[name][kind] for name in ("before", "first wave open", "first wave closed", "second wave open")
        )
        growth = full - before
        returned = (full - closed) / growth if growth > 0 else 1.0
        reused = 1 - max(0, full_again - full) / growth if growth > 0 else 1.0
        result[kind.lower()] = {
            "bytes_per_connection": growth / connections,
            "returned_share": returned,
            "reused_share": reused,
            "returned_or_reused_share": max(returned, reused),
        }
    return result


def print_result(result):
    print(f"{result['name']}: {result['connections']} idle connections")
    for name, kinds in result["samples"].items():
        print(f"  {name:>18}  Rss {kinds['Rss'] / 1024:>10.0f} KiB   Pss {kinds['Pss'] / 1024:>10.0f} KiB")
    for kind in ("rss", "pss"):
        figures = result[kind]
        print(
            f"  {kind}: {figures['bytes_per_connection']:.0f} B per connection; "
            f"{100 * figures['returned_share']:.0f} % given back after closing, "
            f"{100 * figures['reused_share']:.0f} % reused by the second wave"
        )


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server", nargs="+", metavar="SERVER", help="'NAME=COMMAND' or 'floor'")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--settle", type=float, default=2.0, help="seconds before each sample")
    parser.add_argument("--server-cpus", default="0", help="a taskset list, or none (default 0)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)

    needed = arguments.connections + 64
    hard = raise_descriptor_limit()
    if hard != resource.RLIM_INFINITY and hard < needed:
        parser.error(f"{needed} descriptors are needed, the hard limit is {hard} (ulimit -Hn)")
    servers.end_on_sigterm()
    try:
        workload = servers.workload_named("5000x64x1")
        results = [measure(servers.Server.parse(text, workload), arguments) for text in arguments.server]
    except servers.CompareError as error:
        print(f"idle_memory.py: {error}", file=sys.stderr)
        return 2
    for result in results:
        if arguments.json:
            print(json.dumps(result))
        else:
            print_result(result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
