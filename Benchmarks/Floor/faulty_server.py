# SPDX-License-Identifier: Apache-2.0
"""faulty_server.py: an echo server that lies once, to see whether a client notices."""

import contextlib
import socket
import threading
import time


class FaultyServer:
    """An echo server, in this process, whose fourth connection does one thing wrong."""

    FAULTY_CONNECTION = 3
    FAULT_AFTER_BYTES = 10_000

    def __init__(self, fault, delay=0.0):
        self._fault = fault
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            for number in range(1000):
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def _serve(self, client, number):
        seen = 0
        previous = b""
        with client, contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while received := client.recv(1 << 16):
                time.sleep(self._delay)
                seen += len(received)
                answer = received
                if number == self.FAULTY_CONNECTION and seen > self.FAULT_AFTER_BYTES:
                    answer = self._fault(received, previous)
                    seen = -1 << 60  # Once.
                previous = received
                if answer is None:
                    return
                client.sendall(answer)
